# cython: language_level=3
"""A queue of messages, bounded in messages and in bytes: what stands between the socket and a consumer.

The queue itself is C (ring.h); here is its owner. The Python twin is `ring_py.py`.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.ref cimport Py_DECREF, Py_INCREF, Py_XDECREF, PyObject
from libc.stdint cimport SIZE_MAX, int64_t, uint64_t

cdef extern from *:
    """
    /* What Cython would check, and raise for, before the gate is open again; see owned(). */
    #define bytes_of PyBytes_FromStringAndSize
    #define owned(made) ((PyObject *)(made))
    """
    PyObject* bytes_of(const char* data, Py_ssize_t length) noexcept
    bytes owned(PyObject* made)

OVERFLOW_POLICIES = ("drop_oldest", "drop_newest", "block")


cdef class Gate:
    """See gate.h."""


cdef class Tally:
    """What the messages came to of rings that are no more."""


cdef class Sink:
    """Takes whole messages from a decoder."""

    def accept(self, bytes payload not None, bint binary, int64_t received_ns):
        """Take one message. False: there is no room now, offer it again."""
        cdef span_t span
        cdef Py_ssize_t taken
        if self.target == NULL:
            raise NotImplementedError(type(self).__name__)
        span.data = PyBytes_AS_STRING(payload)
        span.length = <size_t>PyBytes_GET_SIZE(payload)
        span.binary = binary
        gate_enter(self.gate)
        taken = self.target.accept(self.target, &span, 1, received_ns)
        gate_leave(self.gate)
        if taken < 0:
            raise MemoryError(f"no memory to queue a message of {len(payload)} bytes")
        return taken == 1

    cpdef wake(self):
        """All of one read was offered: wake whoever waits for some of it."""

    def __dealloc__(self):
        Py_XDECREF(self.doorway)

    cdef int join(self, Gate doorway) except -1:
        """Stand behind that gate from now on."""
        cdef PyObject* former = self.doorway
        Py_INCREF(doorway)
        self.doorway = <PyObject*>doorway
        self.gate = &doorway.gate
        Py_XDECREF(former)
        return 0

    cdef Gate doorway_of(self):
        """The gate that whoever fills this without the GIL has to close; None where that cannot be."""
        if self.doorway == NULL:
            self.join(Gate())
        return <Gate>self.doorway


cdef class Waker:
    """Whoever waits for the messages of a ring."""

    cdef int woken(self) except -1:
        """There is something to take."""
        return 0


cdef int check_bounds(Py_ssize_t capacity, Py_ssize_t max_bytes) except -1:
    if capacity < 0:
        raise ValueError(f"capacity must be non-negative, got {capacity}")
    if max_bytes < 0:
        raise ValueError(f"max_bytes must be non-negative, got {max_bytes}")
    return 0


cdef inline size_t bound_of(Py_ssize_t given) noexcept:
    return <size_t>given if given else SIZE_MAX


cdef class MessageRing(Sink):
    """A queue of messages. `capacity` (messages) and `max_bytes` (payload bytes) bound it; 0 means unbounded.

    When it is full, `overflow` says what goes: the oldest message ("drop_oldest"), the new one ("drop_newest"), or
    nothing: "block" refuses the new one until there is room. Always `received = delivered + dropped + len(ring)`.

    Raises ValueError for negative bounds or an unknown `overflow`.
    """

    def __cinit__(self):
        ring_init(&self.ring)
        self.ring.sink.accept = ring_accept
        self.ring.sink.owner = <void*>self
        self.target = &self.ring.sink

    def __init__(self, Py_ssize_t capacity=0, *, Py_ssize_t max_bytes=0, str overflow not None="drop_oldest"):
        if self.initialised:
            raise TypeError("a MessageRing is initialised once")
        check_bounds(capacity, max_bytes)
        if overflow not in OVERFLOW_POLICIES:
            raise ValueError(f"overflow must be one of {', '.join(OVERFLOW_POLICIES)}, got {overflow!r}")
        self.ring.capacity = bound_of(capacity)
        self.ring.max_bytes = bound_of(max_bytes)
        self.ring.overflow = <ring_overflow_t>(<int>OVERFLOW_POLICIES.index(overflow))
        self.initialised = True

    def __dealloc__(self):
        cdef Tally tally
        if self.tallied != NULL:
            tally = <Tally>self.tallied
            tally.received += ring_received(&self.ring)
            tally.delivered += self.ring.delivered
            tally.dropped += self.ring.dropped + self.ring.count
            Py_DECREF(tally)
        ring_clear(&self.ring)
        losses_free(self.ring.losses)

    @property
    def tally(self):
        return None if self.tallied == NULL else <Tally>self.tallied

    @tally.setter
    def tally(self, Tally value):
        cdef PyObject* former = self.tallied
        self.tallied = NULL
        if value is not None:
            Py_INCREF(value)
            self.tallied = <PyObject*>value
        # Last: it may run a destructor, which may come here again.
        Py_XDECREF(former)

    @property
    def capacity(self):
        return 0 if self.ring.capacity == SIZE_MAX else self.ring.capacity

    @property
    def max_bytes(self):
        return 0 if self.ring.max_bytes == SIZE_MAX else self.ring.max_bytes

    @property
    def overflow(self):
        return OVERFLOW_POLICIES[<int>self.ring.overflow]

    def set_bounds(self, Py_ssize_t capacity, Py_ssize_t max_bytes):
        """Other bounds from now on, 0 for none; what is queued beyond them stays. Raises ValueError as `__init__` does.

        ValueError also unless it blocks: the others would have to drop.
        """
        if self.ring.overflow != RING_BLOCK:
            raise ValueError(f"only a ring that blocks can be given other bounds, not one with {self.overflow!r}")
        check_bounds(capacity, max_bytes)
        gate_enter(self.gate)
        self.ring.capacity = bound_of(capacity)
        self.ring.max_bytes = bound_of(max_bytes)
        gate_leave(self.gate)
        if self.ring.refused:
            self.made_room()

    def stop_blocking(self):
        """From now on drop the newest where it would block: for the end, when nobody may make room any more."""
        gate_enter(self.gate)
        if self.ring.overflow == RING_BLOCK:
            self.ring.overflow = RING_DROP_NEWEST
        gate_leave(self.gate)

    @property
    def nbytes(self):
        return self.ring.nbytes

    @property
    def allocated(self):
        """Bytes of memory held for messages."""
        return self.ring.arena.allocated

    @property
    def received(self):
        cdef uint64_t received
        # A message that is dropped meanwhile is for a moment neither queued nor dropped.
        gate_enter(self.gate)
        received = ring_received(&self.ring)
        gate_leave(self.gate)
        return received

    @property
    def delivered(self):
        return self.ring.delivered

    @property
    def dropped(self):
        return self.ring.dropped

    @property
    def aside(self):
        """Of `dropped`, those that never stood at the head."""
        return self.ring.aside

    @property
    def head(self):
        """The index of the oldest message, of all that were ever queued; with none queued, of the next one."""
        return ring_head(&self.ring)

    @property
    def tail(self):
        """The index of the next message that will be queued."""
        return ring_tail(&self.ring)

    @property
    def waiting(self):
        return bool(self.ring.waiting)

    @waiting.setter
    def waiting(self, bint value):
        self.ring.waiting = value

    @property
    def refused(self):
        return bool(self.ring.refused)

    def __len__(self):
        return <Py_ssize_t>self.ring.count

    def __repr__(self):
        return f"MessageRing({len(self)} of {self.capacity or 'unbounded'} messages, dropped {self.dropped})"

    cpdef wake(self):
        """Call `waker` if a consumer waits and there is something for it."""
        if self.ring.waiting and (self.ring.count or ring_has_breaks(&self.ring)) and self.waker is not None:
            self.ring.waiting = False
            if isinstance(self.waker, Waker):
                (<Waker>self.waker).woken()
            else:
                self.waker()

    cdef bytes take_payload(self, bint* binary, int64_t* received_ns):
        """The oldest message. IndexError when empty."""
        cdef span_t front
        cdef PyObject* payload = NULL
        cdef bint refused = False
        gate_enter(self.gate)
        # Also for those who have just looked: whatever is freed in between may run code that takes.
        if self.ring.count == 0:
            gate_leave(self.gate)
            raise IndexError("take() from an empty MessageRing")
        front = ring_front(&self.ring)
        payload = bytes_of(front.data, <Py_ssize_t>front.length)
        if payload != NULL:
            binary[0] = front.binary
            received_ns[0] = ring_front_received_ns(&self.ring)
            ring_pop(&self.ring, front.length)
            self.ring.delivered += 1
            refused = self.ring.refused
        gate_leave(self.gate)
        # Raises the MemoryError where there is none.
        taken = owned(payload)
        if refused:
            self.made_room()
        return taken

    def take(self):
        """The oldest message: payload, whether it is binary, when it was received (ns). IndexError when empty."""
        cdef bint binary = False
        cdef int64_t received_ns = 0
        payload = self.take_payload(&binary, &received_ns)
        return payload, bool(binary), received_ns

    def clear(self):
        """Drop everything that is queued; returns how many messages that were."""
        cdef size_t count
        gate_enter(self.gate)
        count = self.ring.count
        ring_clear(&self.ring)
        self.ring.dropped += count
        gate_leave(self.gate)
        if self.ring.refused:
            self.made_room()
        return count

    @property
    def front_ns(self):
        """When the oldest message was received; 0 with none."""
        cdef int64_t received_ns = 0
        gate_enter(self.gate)
        if self.ring.count:
            received_ns = ring_front_received_ns(&self.ring)
        gate_leave(self.gate)
        return received_ns

    def look_at_losses(self):
        """`dropped`, `aside`, and where the first was lost of those aside that were not there at the last look.

        Where: the index of the message behind it, and when that first one and the last were received. That is noted
        from the first look on.
        """
        cdef uint64_t dropped, aside
        cdef losses_t* losses
        cdef losses_t found
        gate_enter(self.gate)
        dropped = self.ring.dropped
        aside = self.ring.aside
        losses = ring_losses(&self.ring)
        if losses != NULL:
            losses.looked = True
            losses.seen = aside
            found = losses[0]
        gate_leave(self.gate)
        if losses == NULL:
            raise MemoryError("no memory to note what is lost")
        return dropped, aside, found.at, found.since_ns, found.until_ns

    def take_breaks(self):
        """Where sequence numbers said that messages are missing, since the last call; in order.

        Each with the index of the message that follows (see `head`), the number that was expected and the one that
        came, how many are missing (-1: unknown), and when the message before and the one behind were received. What is
        noted while nobody takes is bounded: the last break then stands for those after it too.
        """
        cdef losses_t* losses
        cdef breaks_t breaks
        cdef break_t* found
        cdef size_t i
        cdef list taken = []
        gate_enter(self.gate)
        losses = self.ring.losses
        if losses != NULL:
            breaks = breaks_take(&losses.breaks)
        gate_leave(self.gate)
        if losses == NULL:
            return taken
        try:
            for i in range(breaks.count):
                found = &breaks.notes[i]
                taken.append((found.at, found.expected, found.got, found.missing, found.since_ns, found.until_ns))
        except MemoryError:
            gate_enter(self.gate)
            breaks_put_back(&losses.breaks, &breaks)
            gate_leave(self.gate)
            raise
        finally:
            breaks_forget(&breaks)
        return taken

    cdef int made_room(self) except -1:
        """Call `on_room` when a ring that refused a message is half empty again."""
        if self.ring.count <= self.ring.capacity // 2 and self.ring.nbytes <= self.ring.max_bytes // 2:
            self.ring.refused = False
            if self.on_room is not None:
                self.on_room()
        return 0
