# cython: language_level=3
"""A queue of messages, bounded in messages and in bytes: what stands between the socket and a consumer.

Messages lie behind one another in chunks of memory, each as a record: when it was received, its payload. One chunk after
another is filled and read, so that a message is written and read in one place, memory follows what is queued within a
quarter, nothing is ever moved, and a burst gives its memory back as it is read. The last chunk read is kept for the
next one needed: a ring at its capacity goes round without the allocator. A ring that holds nothing has no chunk, or a
single one that it fills from the start again, which keeps a fast consumer's queue in the cache.

Length and kind of each message, its mark, stand apart in a small circular array. The oldest message of a full ring can
so be dropped without a look at its record: many full rings are larger than any cache near the core, and the wait for
that line of memory was half of what queueing a message cost.

The Python twin is `ring_py.py`.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.ref cimport Py_DECREF, Py_INCREF, Py_XDECREF, PyObject
from libc.stdint cimport SIZE_MAX, int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

cdef enum:
    SMALLEST_CHUNK = 1024
    LARGEST_CHUNK = 65536
    # A chunk found too large this many times in a row is given back.
    CALM = 64
    FEWEST_MARKS = 16
    # More marks than that are given back as soon as a ring is empty.
    MOST_IDLE_MARKS = 4096
    # A mark is twice the length, plus one for a binary message; a length that is too long for one stands in the record.
    LONG = 0x7FFFFFFF

cdef extern from "prefetch.h" nogil:
    void prefetch_write(const void* base, size_t ahead)

OVERFLOW_POLICIES = ("drop_oldest", "drop_newest", "block")


cdef inline size_t record_size(size_t length) noexcept nogil:
    cdef size_t head = sizeof(record_t) if length < LONG else sizeof(record_t) + sizeof(uint64_t)
    return (head + length + 7) & ~<size_t>7


cdef inline char* chunk_data(chunk_t* chunk) noexcept nogil:
    return <char*>(chunk + 1)


cdef inline record_t* ring_record(ring_t* ring) noexcept nogil:
    """The oldest record; there must be one."""
    return <record_t*>(chunk_data(ring.head) + ring.read)


cdef inline size_t ring_length(ring_t* ring) noexcept nogil:
    """The length of the oldest message; there must be one."""
    cdef size_t length = ring.marks[ring.first] >> 1
    return length if length < LONG else <size_t>(<uint64_t*>(ring_record(ring) + 1))[0]


cdef int ring_more_marks(ring_t* ring) noexcept nogil:
    """Twice as many marks; -1 when there is no memory."""
    cdef size_t slots = ring.slots * 2 if ring.slots else FEWEST_MARKS
    cdef uint32_t* marks = <uint32_t*>malloc(slots * sizeof(uint32_t))
    cdef size_t upper = ring.slots - ring.first
    if marks == NULL:
        return -1
    # It is only called when every slot is taken: the older part reaches to the end, the newer begins at the front.
    if ring.slots:
        memcpy(marks, ring.marks + ring.first, upper * sizeof(uint32_t))
        memcpy(marks + upper, ring.marks, ring.first * sizeof(uint32_t))
    ring_drop_marks(ring)
    ring.marks = marks
    ring.slots = slots
    ring.allocated += slots * sizeof(uint32_t)
    return 0


cdef void ring_drop_marks(ring_t* ring) noexcept nogil:
    ring.allocated -= ring.slots * sizeof(uint32_t)
    free(ring.marks)
    ring.marks = NULL
    ring.slots = 0
    ring.first = 0


cdef void ring_release(ring_t* ring, chunk_t* chunk) noexcept nogil:
    ring.allocated -= chunk.size
    free(chunk)


cdef chunk_t* ring_extend(ring_t* ring, size_t needed) noexcept nogil:
    """A chunk with room for `needed` bytes at the ring's end; NULL when there is no memory."""
    cdef chunk_t* chunk = ring.spare
    # A quarter of what is there: a ring wastes no more than that, and takes few steps to grow.
    cdef size_t size = ring.allocated // 4
    if size > LARGEST_CHUNK:
        size = LARGEST_CHUNK
    if size < SMALLEST_CHUNK:
        size = SMALLEST_CHUNK
    if size < needed:
        size = needed
    if chunk != NULL:
        ring.spare = NULL
        if chunk.size < needed or chunk.size * 2 < size:
            ring_release(ring, chunk)
            chunk = NULL
    if chunk == NULL:
        chunk = <chunk_t*>malloc(sizeof(chunk_t) + size)
        if chunk == NULL:
            return NULL
        chunk.size = size
        ring.allocated += size
    chunk.used = 0
    chunk.next = NULL
    if ring.tail == NULL:
        ring.head = chunk
        ring.read = 0
    else:
        ring.tail.next = chunk
    ring.tail = chunk
    return chunk


cdef void ring_recycle(ring_t* ring, chunk_t* chunk) noexcept nogil:
    """Keep a chunk that was read for the next one needed, if it is no odd size; the larger of two."""
    cdef chunk_t* other = ring.spare
    if chunk.size > LARGEST_CHUNK:
        ring_release(ring, chunk)
    elif other == NULL:
        ring.spare = chunk
    elif other.size < chunk.size:
        ring.spare = chunk
        ring_release(ring, other)
    else:
        ring_release(ring, chunk)


cdef void ring_emptied(ring_t* ring) noexcept nogil:
    """Nothing is queued: start from the front of the last chunk, and give back what was more than was needed."""
    cdef chunk_t* chunk = ring.tail
    if chunk.size > LARGEST_CHUNK:
        ring_release(ring, chunk)
        ring.head = ring.tail = NULL
    else:
        if chunk.used * 4 <= chunk.size:
            ring.calm += 1
        else:
            ring.calm = 0
        chunk.used = 0
        if ring.calm > CALM:
            ring.calm = 0
            if ring.spare != NULL:
                ring_release(ring, ring.spare)
                ring.spare = NULL
            if chunk.size > SMALLEST_CHUNK:
                ring_release(ring, chunk)
                ring.head = ring.tail = NULL
    if ring.slots > MOST_IDLE_MARKS:
        ring_drop_marks(ring)
    ring.read = 0


cdef void ring_pop(ring_t* ring) noexcept nogil:
    """Take the oldest record out; there must be one."""
    cdef chunk_t* chunk = ring.head
    cdef size_t length = ring_length(ring)
    ring.read += record_size(length)
    ring.first = (ring.first + 1) & (ring.slots - 1)
    ring.count -= 1
    ring.nbytes -= length
    if ring.count == 0:
        ring_emptied(ring)
    elif ring.read == chunk.used:
        ring.head = chunk.next
        ring.read = 0
        ring_recycle(ring, chunk)


cdef int ring_overflow(ring_t* ring, size_t length) noexcept nogil:
    """A message of `length` does not fit. 0: it does now; 1: refused; 2: it is dropped."""
    if ring.overflow == BLOCK:
        # Any message is taken while the ring is empty: one over `max_bytes` would never get in otherwise.
        if ring.count == 0:
            return 0
        ring.refused = True
        return 1
    if ring.overflow == DROP_NEWEST or length > ring.max_bytes:
        return 2
    while ring.count >= ring.capacity or length > ring.max_bytes - ring.nbytes:
        ring_pop(ring)
        ring.dropped += 1
    return 0


cdef int ring_push(ring_t* ring, const char* data, size_t length, bint binary, int64_t received_ns) noexcept nogil:
    """Queue a message. 0: taken, or dropped and counted; 1: no room (BLOCK); -1: out of memory."""
    cdef size_t needed = record_size(length)
    cdef chunk_t* chunk
    cdef record_t* record
    cdef char* payload
    cdef int verdict
    # nbytes <= max_bytes but for one message that a blocking ring took while it was empty: then count is not 0.
    if ring.count >= ring.capacity or ring.nbytes > ring.max_bytes or length > ring.max_bytes - ring.nbytes:
        verdict = ring_overflow(ring, length)
        if verdict == 1:
            return 1
        if verdict == 2:
            ring.received += 1
            ring.dropped += 1
            return 0
    if ring.count == ring.slots and ring_more_marks(ring) < 0:
        return -1
    chunk = ring.tail
    if chunk == NULL or chunk.size - chunk.used < needed:
        if ring.count == 0 and chunk != NULL:
            # The one chunk of an empty ring is too small: replace it rather than read on from it.
            ring_release(ring, chunk)
            ring.head = ring.tail = NULL
        chunk = ring_extend(ring, needed)
        if chunk == NULL:
            return -1
    record = <record_t*>(chunk_data(chunk) + chunk.used)
    record.received_ns = received_ns
    payload = <char*>(record + 1)
    if length >= LONG:
        (<uint64_t*>payload)[0] = length
        payload += sizeof(uint64_t)
    ring.marks[(ring.first + ring.count) & (ring.slots - 1)] = (
        <uint32_t>(length if length < LONG else LONG) << 1 | <uint32_t>binary
    )
    memcpy(payload, data, length)
    chunk.used += needed
    # Where this ring's next message will be written: the lines arrive while other rings' messages pass.
    prefetch_write(chunk_data(chunk), chunk.used)
    prefetch_write(chunk_data(chunk), chunk.used + 64)
    prefetch_write(chunk_data(chunk), chunk.used + 128)
    ring.count += 1
    ring.nbytes += length
    ring.received += 1
    return 0


cdef void ring_clear(ring_t* ring) noexcept nogil:
    """Give all memory back."""
    cdef chunk_t* chunk = ring.head
    cdef chunk_t* following
    while chunk != NULL:
        following = chunk.next
        free(chunk)
        chunk = following
    free(ring.spare)
    ring_drop_marks(ring)
    ring.head = ring.tail = ring.spare = NULL
    ring.read = ring.allocated = ring.count = ring.nbytes = 0


cdef int ring_accept(sink_t* sink, const char* data, size_t length, bint binary, int64_t received_ns) noexcept nogil:
    # The sink is the first member of the ring.
    return ring_push(<ring_t*>sink, data, length, binary, received_ns)


cdef class Tally:
    """What the messages came to of rings that are no more."""


cdef class Sink:
    """Takes whole messages from a decoder."""

    def accept(self, bytes payload not None, bint binary, int64_t received_ns):
        """Take one message. False: there is no room now, offer it again."""
        cdef int verdict
        if self.target == NULL:
            raise NotImplementedError(type(self).__name__)
        verdict = self.target.accept(
            self.target, PyBytes_AS_STRING(payload), <size_t>PyBytes_GET_SIZE(payload), binary, received_ns
        )
        if verdict < 0:
            raise MemoryError(f"no memory to queue a message of {len(payload)} bytes")
        return verdict == 0

    cpdef wake(self):
        """All of one read was offered: wake whoever waits for some of it."""


cdef class Waker:
    """Whoever waits for the messages of a ring."""

    cdef int woken(self) except -1:
        """There is something to take."""
        return 0


cdef class MessageRing(Sink):
    """A queue of messages. `capacity` (messages) and `max_bytes` (payload bytes) bound it; 0 means unbounded.

    When it is full, `overflow` says what goes: the oldest message ("drop_oldest"), the new one ("drop_newest"), or
    nothing: "block" refuses the new one until there is room. Always `received = delivered + dropped + len(ring)`.

    Raises ValueError for negative bounds or an unknown `overflow`.
    """

    def __cinit__(self):
        self.ring.sink.accept = ring_accept
        self.ring.sink.owner = <void*>self
        self.ring.capacity = self.ring.max_bytes = SIZE_MAX
        self.target = &self.ring.sink

    def __init__(self, Py_ssize_t capacity=0, *, Py_ssize_t max_bytes=0, str overflow not None="drop_oldest"):
        if self.initialised:
            raise TypeError("a MessageRing is initialised once")
        if capacity < 0:
            raise ValueError(f"capacity must be non-negative, got {capacity}")
        if max_bytes < 0:
            raise ValueError(f"max_bytes must be non-negative, got {max_bytes}")
        if overflow not in OVERFLOW_POLICIES:
            raise ValueError(f"overflow must be one of {', '.join(OVERFLOW_POLICIES)}, got {overflow!r}")
        self.ring.capacity = <size_t>capacity if capacity else SIZE_MAX
        self.ring.max_bytes = <size_t>max_bytes if max_bytes else SIZE_MAX
        self.ring.overflow = OVERFLOW_POLICIES.index(overflow)
        self.initialised = True

    def __dealloc__(self):
        cdef Tally tally
        if self.tallied != NULL:
            tally = <Tally>self.tallied
            tally.received += self.ring.received
            tally.delivered += self.ring.delivered
            tally.dropped += self.ring.dropped + self.ring.count
            Py_DECREF(tally)
        ring_clear(&self.ring)

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
        return OVERFLOW_POLICIES[self.ring.overflow]

    def stop_blocking(self):
        """From now on drop the newest where it would block: for the end, when nobody may make room any more."""
        if self.ring.overflow == BLOCK:
            self.ring.overflow = DROP_NEWEST

    @property
    def nbytes(self):
        return self.ring.nbytes

    @property
    def allocated(self):
        """Bytes of memory held for messages."""
        return self.ring.allocated

    @property
    def received(self):
        return self.ring.received

    @property
    def delivered(self):
        return self.ring.delivered

    @property
    def dropped(self):
        return self.ring.dropped

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
        if self.ring.waiting and self.ring.count and self.waker is not None:
            self.ring.waiting = False
            if isinstance(self.waker, Waker):
                (<Waker>self.waker).woken()
            else:
                self.waker()

    cdef bytes take_payload(self, bint* binary, int64_t* received_ns):
        """The oldest message. IndexError when empty."""
        cdef record_t* record
        cdef size_t length
        cdef char* data
        cdef bytes payload
        # Also for those who have just looked: whatever is freed in between may run code that takes.
        if self.ring.count == 0:
            raise IndexError("take() from an empty MessageRing")
        record = ring_record(&self.ring)
        length = ring_length(&self.ring)
        data = <char*>(record + 1) if length < LONG else <char*>(record + 1) + sizeof(uint64_t)
        payload = PyBytes_FromStringAndSize(data, <Py_ssize_t>length)
        binary[0] = self.ring.marks[self.ring.first] & 1
        received_ns[0] = record.received_ns
        ring_pop(&self.ring)
        self.ring.delivered += 1
        if self.ring.refused:
            self.made_room()
        return payload

    def take(self):
        """The oldest message: payload, whether it is binary, when it was received (ns). IndexError when empty."""
        cdef bint binary = False
        cdef int64_t received_ns = 0
        payload = self.take_payload(&binary, &received_ns)
        return payload, bool(binary), received_ns

    def clear(self):
        """Drop everything that is queued; returns how many messages that were."""
        cdef size_t count = self.ring.count
        ring_clear(&self.ring)
        self.ring.dropped += count
        if self.ring.refused:
            self.made_room()
        return count

    cdef int made_room(self) except -1:
        """Call `on_room` when a ring that refused a message is half empty again."""
        if self.ring.count <= self.ring.capacity // 2 and self.ring.nbytes <= self.ring.max_bytes // 2:
            self.ring.refused = False
            if self.on_room is not None:
                self.on_room()
        return 0


cdef int sieve_accept(sink_t* sink, const char* data, size_t length, bint binary, int64_t received_ns) noexcept nogil:
    with gil:
        return (<Sieve>sink.owner).judge(data, length, binary, received_ns)


cdef class Sieve(Sink):
    """Keeps out of `sink` what `matches(payload)` says is no message, such as an exchange's answers to its own pings.

    `matched` counts those. A `matches` that raises lets the message through; `error` holds what it raised last. What is
    no Exception, such as KeyboardInterrupt, is raised by `wake()`.
    """

    def __init__(self, Sink sink not None, matches not None):
        # A second time could make a ring of sieves, or free one that is at work.
        if self.target != NULL:
            raise TypeError("a Sieve is initialised once")
        if sink.target == NULL:
            raise TypeError(f"{type(sink).__name__} cannot take messages from a compiled decoder")
        self.sink = sink
        self.matches = matches
        self.own.accept = sieve_accept
        self.own.owner = <void*>self
        self.target = &self.own

    cdef int judge(self, const char* data, size_t length, bint binary, int64_t received_ns) except -2:
        try:
            found = bool(self.matches(PyBytes_FromStringAndSize(data, <Py_ssize_t>length)))
        except Exception as error:
            self.error = error
            found = False
        except BaseException as error:
            self.raised = error
            found = False
        if found:
            self.matched += 1
            return 0
        return self.sink.target.accept(self.sink.target, data, length, binary, received_ns)

    cpdef wake(self):
        """Wake whoever waits behind."""
        raised = self.raised
        self.raised = None
        try:
            if self.sink is not None:
                self.sink.wake()
        finally:
            if raised is not None:
                raise raised
