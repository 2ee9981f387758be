cimport cython
from libc.stdint cimport int64_t, uint64_t

from .ring_c cimport MessageRing, Waker
from .waiting_c cimport Waiter, Wave


# How a stream decodes.
cdef enum:
    AS_BYTES = 0
    AS_TEXT = 1
    CALL = 2
    # tagged() says.
    TAGGED = 3


cdef class Message:
    cdef readonly bytes data
    cdef bint is_binary
    cdef readonly int64_t received_ns
    cdef Taking stream


@cython.final
cdef class Caution:
    cdef object marks
    # The index that the first mark stands before.
    cdef uint64_t mark_at
    # Whether losses are watched, and how many messages were dropped when it was last looked.
    cdef bint watching
    cdef uint64_t seen
    # When the last message was received that was taken carefully.
    cdef int64_t taken_ns


cdef class Taking(Waker):
    cdef readonly MessageRing ring
    cdef readonly object name
    cdef object _decode
    cdef int how
    # The listener is being called; it will go on when it is its turn.
    cdef bint busy
    cdef bint resuming
    # Something may come before the next message: what was deferred, a mark, or what stands for losses.
    cdef bint careful
    cdef readonly bint ended
    cdef readonly bint quiet
    # Who waits, in the order in which they came.
    cdef Waiter first
    cdef list others
    # Of the loop that was seen last.
    cdef Wave wave
    # Who is called instead, for `MessageStream`; and what besides: `on_trouble` and `on_end`.
    cdef object listener
    cdef tuple besides
    # Raised before the next message.
    cdef object deferred
    # None: nothing else has ever been to come before a message.
    cdef Caution caution
    cdef readonly object error
    cdef object traceback
    cdef int deliver(self, bint turn) except -1
    cdef int bind(self) except -1
    cdef Waiter wait(self)
    cdef int let_go(self, Waiter waiter) except -1
    cdef bint look(self) except -1
    cdef bint pausing(self, str operation) except -1
    @cython.final
    cdef object decoded(self, bytes payload)
    @cython.final
    cdef object take_plain(self)
    @cython.final
    cdef object take(self)
    cdef object tagged(self, bytes payload)
    cdef object take_message(self)
    cdef Message message_of(self)
    cdef list take_batch(self, Py_ssize_t most)
    cdef Caution cautious(self)
    cdef int recheck(self) except -1
    cdef int look_for_losses(self) except -1
    cdef bint due(self) except -1
    cdef object take_carefully(self, bint whole)
    @cython.final
    cdef void was_taken(self, int64_t received_ns) noexcept
    cdef object take_mark(self)
    cdef list take_batch_with_marks(self, Py_ssize_t most)
    cdef bint goes_on(self, uint64_t end) except -1
    cdef int defer(self, error) except -1
    cdef object over(self, str operation)
    cdef object stop(self)
    cdef object afresh(self)


cdef inline bint available(Taking stream) except -1:
    """Whether there is something to take."""
    return (stream.ring.ring.count > 0 or stream.careful and stream.due()) and stream.listener is None


cdef inline bint in_time(Taking stream) except -1:
    """Whether consumers have time left in this turn of the loop."""
    return stream.wave.run < stream.wave.look or stream.look()
