# cython: language_level=3
"""Routes each message to the ring of its channel.

The table and the way of a message through it are C (router.h); here is their owner. The Python twin is `router_py.py`.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_Next
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free, realloc

from os import urandom
from struct import unpack

from .keys_c cimport ChannelKey, key_plan_t
from .ring_c cimport (
    Gate, MessageRing, Sink, breaks_reserve, gate_enter, gate_leave, losses_t, ring_losses, ring_t, sink_t, span_t,
    watch_heard,
)
from .watch_c cimport Entry, Relay, Sequence, Watch, relay_of, sequence_t

cdef extern from "router.h" nogil:
    ctypedef struct router_slot:
        ring_t* ring

    ctypedef struct router_t:
        sink_t sink
        key_plan_t* plan
        router_slot* slots
        size_t mask
        uint64_t[2] seed
        ring_t* spill
        uint64_t routed
        uint64_t unroutable
        sequence_t* sequence
        ring_t** wakes
        size_t waking

    Py_ssize_t router_accept(sink_t* sink, const span_t* spans, size_t count, int64_t received_ns)
    Py_ssize_t router_accept_in_order(sink_t* sink, const span_t* spans, size_t count, int64_t received_ns)
    void router_put(router_t* router, const char* name, size_t length, ring_t* ring)
    void router_take_out(router_t* router, const char* name, size_t length)

cdef enum:
    SMALLEST_TABLE = 16

cdef uint64_t[2] seed
seed[0], seed[1] = unpack("=QQ", urandom(16))


cdef class Router(Sink):
    """A sink that finds a message's channel by `key` and queues the message in the ring of that channel.

    A message with no channel, or with one that has no ring, is unroutable: it goes to `spill` where one is given.
    `routed + unroutable` is the number of messages taken. A channel may have several rings, each of which gets every
    message; none gets one before there is room in all of them that block.

    `sequence`: numbers that run through all messages, unroutable ones too. A break is noted on every ring.
    """

    cdef router_t router
    cdef readonly ChannelKey key
    cdef ChannelKey own_key
    cdef MessageRing spilling
    cdef Sequence order
    # How many more rings there are than channels.
    cdef size_t more
    # channel -> Entry: what the slots point to lives here.
    cdef dict rings

    def __init__(self, ChannelKey key not None, MessageRing spill=None):
        if self.router.slots != NULL:
            raise TypeError("a Router is initialised once")
        self.key = key
        # What its plan is read with, memory included, is for one thread at a time, and the key may have other users.
        self.own_key = ChannelKey(key.spec)
        self.rings = {}
        self.router.sink.accept = router_accept
        self.router.sink.owner = <void*>self
        self.router.plan = self.own_key.plan
        self.router.seed = seed
        if not self.rebuild(SMALLEST_TABLE):
            raise MemoryError(f"no memory for a table of {SMALLEST_TABLE} channels")
        self.join(Gate())
        self.spill = spill
        self.target = &self.router.sink

    def __dealloc__(self):
        free(self.router.slots)
        free(self.router.wakes)

    @property
    def routed(self):
        return self.router.routed

    @property
    def unroutable(self):
        return self.router.unroutable

    @property
    def spill(self):
        return self.spilling

    @spill.setter
    def spill(self, MessageRing value):
        with cython.critical_section(self):
            if value is not None:
                value.join(self.doorway_of())
            gate_enter(self.gate)
            self.router.spill = NULL if value is None else &value.ring
            gate_leave(self.gate)
            self.spilling = value

    @property
    def sequence(self):
        return self.order

    @sequence.setter
    def sequence(self, Sequence value):
        cdef Entry entry
        cdef Sequence former
        with cython.critical_section(self):
            former = self.order
            if value is former:
                return
            if value is not None:
                for entry in self.rings.values():
                    self.reserve(entry.all_rings())
                value.claim()
                value.stand_behind(self.doorway_of())
            gate_enter(self.gate)
            self.router.sequence = NULL if value is None else &value.sequence
            self.router.sink.accept = router_accept if value is None else router_accept_in_order
            gate_leave(self.gate)
            self.order = value
            if former is not None:
                former.claimed = False

    cdef int reserve(self, list rings) except -1:
        """Memory for one break, that none goes unnoticed."""
        cdef MessageRing ring
        cdef losses_t* losses
        cdef bint reserved
        for ring in rings:
            gate_enter(self.gate)
            losses = ring_losses(watch_heard(&ring.ring))
            # Where there is one already, the last break can always be made to stand for more.
            reserved = losses != NULL and (breaks_reserve(&losses.breaks) == 0 or losses.breaks.count != 0)
            gate_leave(self.gate)
            if not reserved:
                raise MemoryError("no memory to note breaks in a sequence")
        return 0

    def __len__(self):
        return len(self.rings)

    def __contains__(self, channel):
        return channel in self.rings

    cdef bint rebuild(self, size_t size) noexcept:
        """A table of `size` slots, a power of two, at least twice the channels; and room to list all their rings.

        False when there is no memory. Runs no Python code: it is done inside the gate.
        """
        cdef router_slot* slots = <router_slot*>calloc(size, sizeof(router_slot))
        cdef ring_t** wakes
        cdef PyObject* entry = NULL
        cdef Py_ssize_t at = 0
        if slots == NULL:
            return False
        wakes = <ring_t**>realloc(self.router.wakes, (size // 2 + self.more) * sizeof(ring_t*))
        if wakes == NULL:
            free(slots)
            return False
        self.router.wakes = wakes
        free(self.router.slots)
        self.router.slots = slots
        self.router.mask = size - 1
        while PyDict_Next(self.rings, &at, NULL, &entry):
            self.put(<Entry>entry)
        return True

    cdef void put(self, Entry entry) noexcept:
        cdef bytes name = entry.name
        cdef ring_t* ring = &entry.ring.ring if entry.relay is None else &entry.relay.stand_in
        router_put(&self.router, PyBytes_AS_STRING(name), <size_t>PyBytes_GET_SIZE(name), ring)

    def add(self, str channel not None, MessageRing ring not None, Watch watch=None):
        """Route `channel` to `ring`. Raises ValueError when the channel has a ring already, or the watch a channel."""
        cdef Entry entry = Entry.__new__(Entry)
        cdef bint done
        cdef size_t size
        entry.name = channel.encode("utf-8", "surrogatepass")
        entry.ring = ring
        with cython.critical_section(self):
            if channel in self.rings:
                raise ValueError(f"channel {channel!r} has a ring already")
            ring.join(self.doorway_of())
            if watch is not None:
                entry.relay = relay_of([ring], watch)
            if self.order is not None or watch is not None and watch.sequence is not None:
                self.reserve([ring])
            if watch is not None:
                watch.claim()
                watch.stand_behind(self.doorway_of())
                entry.watch = watch
            try:
                self.rings[channel] = entry
            except MemoryError:
                if watch is not None:
                    watch.claimed = False
                raise
            gate_enter(self.gate)
            done = True
            size = 2 * (self.router.mask + 1)
            if 2 * <size_t>len(self.rings) > self.router.mask + 1:
                done = self.rebuild(size)
            else:
                self.put(entry)
            gate_leave(self.gate)
            if not done:
                del self.rings[channel]
                if watch is not None:
                    watch.claimed = False
                raise MemoryError(f"no memory for a table of {size} channels")

    def add_ring(self, str channel not None, MessageRing ring not None):
        """Queue what `channel` brings in `ring` as well. ValueError: it has no ring yet, or this one already."""
        cdef Entry entry
        cdef Relay relay
        cdef ring_t** wakes
        with cython.critical_section(self):
            found = self.rings.get(channel)
            if found is None:
                raise ValueError(f"channel {channel!r} has no ring yet")
            entry = found
            if entry.has(ring):
                raise ValueError(f"channel {channel!r} has that ring already")
            # A slice, as list() may lose a reference where there is no memory: CPython's.
            rings = entry.all_rings()[:]
            rings.append(ring)
            relay = relay_of(rings, entry.watch)
            ring.join(self.doorway_of())
            if self.order is not None or entry.watch is not None and entry.watch.sequence is not None:
                self.reserve([ring])
            gate_enter(self.gate)
            wakes = <ring_t**>realloc(
                self.router.wakes, ((self.router.mask + 1) // 2 + self.more + 1) * sizeof(ring_t*)
            )
            if wakes != NULL:
                self.router.wakes = wakes
                self.more += 1
            gate_leave(self.gate)
            if wakes == NULL:
                raise MemoryError(f"no memory to wake one more consumer of {channel!r}")
            self.lead(entry, rings, relay)

    def remove_ring(self, str channel not None, MessageRing ring not None):
        """Queue no more in `ring` of what `channel` brings; with its last ring the channel goes. False: it has not."""
        cdef Entry entry
        cdef list woken = None
        with cython.critical_section(self):
            found = self.rings.get(channel)
            if found is None:
                return False
            entry = found
            if not entry.has(ring):
                return False
            woken = [ring]
            if entry.rings is None:
                self.take_out(channel, entry, woken)
            else:
                rings = [other for other in entry.rings if other is not ring]
                relay = None if len(rings) == 1 and entry.watch is None else relay_of(rings, entry.watch)
                self.lead(entry, rings, relay)
                self.more -= 1
                self.unlist(woken)
        wake_all(woken)
        return True

    cdef int lead(self, Entry entry, list rings, Relay relay) except -1:
        """From now on a channel leads to these rings."""
        # What the table points to until it is changed.
        former = entry.ring, entry.rings, entry.relay
        entry.lead_to(rings, relay)
        gate_enter(self.gate)
        self.put(entry)
        gate_leave(self.gate)
        return 0

    def remove(self, str channel not None):
        """Stop routing `channel`; False when it was not routed."""
        cdef list woken = None
        with cython.critical_section(self):
            found = self.rings.get(channel)
            if found is None:
                return False
            woken = (<Entry>found).all_rings()[:]
            self.take_out(channel, found, woken)
        wake_all(woken)
        return True

    cdef int take_out(self, str channel, Entry entry, list rings) except -1:
        """Take a channel out of the table; of its `rings`, only those to be woken stay in the list."""
        # Until nothing points to it any more, `entry` is held by whoever calls this.
        del self.rings[channel]
        if entry.watch is not None:
            entry.watch.claimed = False
        self.more -= <size_t>len(rings) - 1
        gate_enter(self.gate)
        router_take_out(&self.router, PyBytes_AS_STRING(entry.name), <size_t>PyBytes_GET_SIZE(entry.name))
        gate_leave(self.gate)
        self.unlist(rings)
        return 0

    cdef int unlist(self, list rings) except -1:
        """Take rings off those to wake, which must not outlive them; None stands in `rings` for who was not there.

        It needs no memory.
        """
        cdef MessageRing ring
        cdef Py_ssize_t i
        for i in range(len(rings)):
            ring = <MessageRing>rings[i]
            if not self.unlist_one(watch_heard(&ring.ring)):
                rings[i] = None
        return 0

    cdef bint unlist_one(self, ring_t* ring) noexcept:
        cdef router_t* router = &self.router
        cdef size_t i, kept = 0
        cdef bint listed
        gate_enter(self.gate)
        for i in range(router.waking):
            router.wakes[kept] = router.wakes[i]
            kept += router.wakes[i] != ring
        listed = kept != router.waking
        if listed:
            router.waking = kept
            ring.listed = False
        gate_leave(self.gate)
        return listed

    cpdef wake(self):
        """Wake the consumers of every ring that got its first messages."""
        cdef size_t i
        cdef list awake
        if self.router.waking:
            # A waker may change the list: take it first.
            awake = []
            gate_enter(self.gate)
            for i in range(self.router.waking):
                awake.append(<object>self.router.wakes[i].sink.owner)
            # All at once, and only now: a ring that is on the list without its mark could get on it twice.
            for i in range(self.router.waking):
                self.router.wakes[i].listed = False
            self.router.waking = 0
            gate_leave(self.gate)
            for owner in awake:
                (<MessageRing>owner).wake()
        if self.spilling is not None:
            self.spilling.wake()


cdef int wake_all(list rings) except -1:
    for ring in rings:
        if ring is not None:
            (<MessageRing>ring).wake()
    return 0
