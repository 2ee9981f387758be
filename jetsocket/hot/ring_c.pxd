from cpython.ref cimport PyObject
from libc.stdint cimport int64_t, uint64_t


cdef extern from "sink.h" nogil:
    ctypedef struct span_t:
        const char* data
        size_t length
        int binary

    ctypedef struct sink_t:
        Py_ssize_t (*accept)(sink_t* sink, const span_t* spans, size_t count, int64_t received_ns) noexcept nogil
        void* owner


# It includes ring.h, and that losses.h and breaks.h.
cdef extern from "watch.h" nogil:
    ctypedef struct break_t:
        uint64_t at
        int64_t expected
        int64_t got
        int64_t missing
        int64_t since_ns
        int64_t until_ns

    ctypedef struct breaks_t:
        break_t* notes
        size_t count
        size_t slots

    int breaks_reserve(breaks_t* breaks)
    breaks_t breaks_take(breaks_t* breaks)
    void breaks_put_back(breaks_t* breaks, breaks_t* taken)
    void breaks_forget(breaks_t* breaks)

    ctypedef struct losses_t:
        bint looked
        uint64_t seen
        uint64_t at
        int64_t since_ns
        int64_t until_ns
        breaks_t breaks

    void losses_free(losses_t* losses)

    ctypedef struct arena_t:
        size_t allocated

    ctypedef struct watch_t
    ctypedef struct watch_channel_t

    ctypedef enum ring_overflow_t:
        RING_DROP_OLDEST
        RING_DROP_NEWEST
        RING_BLOCK

    ctypedef struct ring_t:
        sink_t sink
        size_t count
        size_t capacity
        size_t nbytes
        size_t max_bytes
        uint64_t dropped
        uint64_t delivered
        ring_overflow_t overflow
        bint waiting
        bint listed
        bint refused
        watch_t* watch
        arena_t arena
        uint64_t aside
        losses_t* losses

    void ring_init(ring_t* ring)
    uint64_t ring_received(const ring_t* ring)
    uint64_t ring_head(const ring_t* ring)
    uint64_t ring_tail(const ring_t* ring)
    void ring_turned_away(ring_t* ring, uint64_t at, int64_t received_ns)
    span_t ring_front(const ring_t* ring)
    int64_t ring_front_received_ns(const ring_t* ring)
    void ring_pop(ring_t* ring, size_t length)
    void ring_clear(ring_t* ring)
    losses_t* ring_losses(ring_t* ring)
    bint ring_has_breaks(const ring_t* ring)
    # 0: taken, or dropped and counted; 1: no room; -1: no memory.
    int ring_push(ring_t* ring, const span_t* span, int64_t received_ns)
    Py_ssize_t ring_accept(sink_t* sink, const span_t* spans, size_t count, int64_t received_ns)

    ctypedef struct watch_t:
        int (*store)(ring_t* ring, const span_t* span, int64_t received_ns) noexcept nogil
        int (*refuses)(ring_t* ring, size_t length) noexcept nogil
        ring_t* taken_from
        watch_channel_t* channel

    ring_t* watch_heard(ring_t* ring)


cdef extern from "gate.h":
    enum:
        GATE_ALWAYS

    ctypedef struct gate_t:
        pass

    void gate_enter(gate_t* gate) noexcept
    void gate_leave(gate_t* gate) noexcept
    bint gate_is_closed(const gate_t* gate) noexcept
    void gate_close(gate_t* gate) noexcept
    void gate_open(gate_t* gate) noexcept


# One for a decoder and all that it fills.
cdef class Gate:
    cdef gate_t gate


cdef class Tally:
    cdef public uint64_t received
    cdef public uint64_t delivered
    cdef public uint64_t dropped


cdef class Sink:
    cdef sink_t* target
    # Of `doorway`, which is counted by hand: of objects in a reference cycle the collector clears all that it knows of
    # before `__dealloc__` runs, and finalizers may run before that.
    cdef gate_t* gate
    cdef PyObject* doorway
    cpdef wake(self)
    cdef int join(self, Gate doorway) except -1
    cdef Gate doorway_of(self)


# What a ring wakes, without a call of Python's.
cdef class Waker:
    cdef int woken(self) except -1


cdef class MessageRing(Sink):
    cdef ring_t ring
    cdef public object waker
    cdef public object on_room
    # Counted by hand: of a ring in a reference cycle the collector clears all others before `__dealloc__` runs.
    cdef PyObject* tallied
    cdef bint initialised
    cdef object __weakref__
    cdef bytes take_payload(self, bint* binary, int64_t* received_ns)
    cdef int made_room(self) except -1
