from cpython.ref cimport PyObject
from libc.stdint cimport int64_t, uint32_t, uint64_t

# Where whole messages go. A decoder sees no more of a ring or a router than this.
#   accept: 0 taken, 1 no room now, -1 out of memory
cdef struct sink_t:
    int (*accept)(sink_t* sink, const char* data, size_t length, bint binary, int64_t received_ns) noexcept nogil
    void* owner

cdef enum:
    DROP_OLDEST = 0
    DROP_NEWEST = 1
    BLOCK = 2

cdef struct chunk_t:
    chunk_t* next
    size_t size
    size_t used

# What `marks` does not hold of a message; its payload follows.
cdef struct record_t:
    int64_t received_ns

cdef struct ring_t:
    sink_t sink
    chunk_t* head
    chunk_t* tail
    chunk_t* spare
    size_t read
    uint32_t* marks
    size_t slots
    size_t first
    size_t allocated
    size_t count
    size_t nbytes
    size_t capacity
    size_t max_bytes
    uint64_t received
    uint64_t delivered
    uint64_t dropped
    int overflow
    unsigned int calm
    bint waiting
    bint refused
    # On the list of a router to be woken.
    bint listed

cdef int ring_push(ring_t* ring, const char* data, size_t length, bint binary, int64_t received_ns) noexcept nogil


cdef class Tally:
    cdef public uint64_t received
    cdef public uint64_t delivered
    cdef public uint64_t dropped


cdef class Sink:
    cdef sink_t* target
    cpdef wake(self)


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


cdef class Sieve(Sink):
    cdef sink_t own
    cdef readonly Sink sink
    cdef readonly object matches
    cdef readonly uint64_t matched
    cdef public object error
    # What matches() raised that is not for us to keep, until `wake()` raises it.
    cdef object raised
    cdef int judge(self, const char* data, size_t length, bint binary, int64_t received_ns) except -2
