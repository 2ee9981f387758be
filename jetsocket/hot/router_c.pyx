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
from .ring_c cimport Gate, MessageRing, Sink, gate_enter, gate_leave, ring_t, sink_t, span_t, watch_heard

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
        ring_t** wakes
        size_t waking

    Py_ssize_t router_accept(sink_t* sink, const span_t* spans, size_t count, int64_t received_ns)
    void router_put(router_t* router, const char* name, size_t length, ring_t* ring)
    void router_take_out(router_t* router, const char* name, size_t length)

cdef enum:
    SMALLEST_TABLE = 16

cdef uint64_t[2] seed
seed[0], seed[1] = unpack("=QQ", urandom(16))


@cython.final
cdef class Entry:
    """What a slot of the table points to."""

    cdef bytes name
    cdef MessageRing ring


cdef class Router(Sink):
    """A sink that finds a message's channel by `key` and queues the message in the ring of that channel.

    A message with no channel, or with one that has no ring, is unroutable: it goes to `spill` where one is given.
    `routed + unroutable` is the number of messages taken.
    """

    cdef router_t router
    cdef readonly ChannelKey key
    cdef ChannelKey own_key
    cdef readonly MessageRing spill
    # channel -> Entry: what the slots point to lives here.
    cdef dict rings

    def __init__(self, ChannelKey key not None, MessageRing spill=None):
        if self.router.slots != NULL:
            raise TypeError("a Router is initialised once")
        self.key = key
        # What its plan is read with, memory included, is for one thread at a time, and the key may have other users.
        self.own_key = ChannelKey(key.spec)
        self.spill = spill
        self.rings = {}
        self.router.sink.accept = router_accept
        self.router.sink.owner = <void*>self
        self.router.plan = self.own_key.plan
        self.router.seed = seed
        self.router.spill = NULL if spill is None else &spill.ring
        if not self.rebuild(SMALLEST_TABLE):
            raise MemoryError(f"no memory for a table of {SMALLEST_TABLE} channels")
        self.join(Gate())
        if spill is not None:
            spill.join(self.doorway_of())
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

    def __len__(self):
        return len(self.rings)

    def __contains__(self, channel):
        return channel in self.rings

    cdef bint rebuild(self, size_t size) noexcept:
        """A table of `size` slots, a power of two, at least twice the channels; and room to list half as many rings.

        False when there is no memory. Runs no Python code: it is done inside the gate.
        """
        cdef router_slot* slots = <router_slot*>calloc(size, sizeof(router_slot))
        cdef ring_t** wakes
        cdef PyObject* entry = NULL
        cdef Py_ssize_t at = 0
        if slots == NULL:
            return False
        wakes = <ring_t**>realloc(self.router.wakes, size // 2 * sizeof(ring_t*))
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
        router_put(&self.router, PyBytes_AS_STRING(name), <size_t>PyBytes_GET_SIZE(name), &entry.ring.ring)

    def add(self, str channel not None, MessageRing ring not None):
        """Route `channel` to `ring`. Raises ValueError when the channel has a ring already."""
        cdef Entry entry = Entry.__new__(Entry)
        cdef bint done
        cdef size_t size
        entry.name = channel.encode("utf-8", "surrogatepass")
        entry.ring = ring
        with cython.critical_section(self):
            if channel in self.rings:
                raise ValueError(f"channel {channel!r} has a ring already")
            self.rings[channel] = entry
            ring.join(self.doorway_of())
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
                raise MemoryError(f"no memory for a table of {size} channels")

    def remove(self, str channel not None):
        """Stop routing `channel`; False when it was not routed."""
        cdef Entry entry = None
        cdef bint listed = False
        with cython.critical_section(self):
            found = self.rings.pop(channel, None)
            if found is None:
                return False
            entry = found
            # No Python code runs from here until nothing points to the ring any more.
            gate_enter(self.gate)
            router_take_out(&self.router, PyBytes_AS_STRING(entry.name), <size_t>PyBytes_GET_SIZE(entry.name))
            listed = self.unlist(watch_heard(&entry.ring.ring))
            gate_leave(self.gate)
        if listed:
            entry.ring.wake()
        return True

    cdef bint unlist(self, ring_t* ring) noexcept:
        """Take `ring` off the list of those to wake, which must not outlive it; whether it was there."""
        cdef router_t* router = &self.router
        cdef size_t i, kept = 0
        for i in range(router.waking):
            router.wakes[kept] = router.wakes[i]
            kept += router.wakes[i] != ring
        if kept == router.waking:
            return False
        router.waking = kept
        ring.listed = False
        return True

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
        if self.spill is not None:
            self.spill.wake()
