from libc.stdint cimport int64_t


cdef enum:
    PENDING = 0
    WOKEN = 1
    CANCELLED = 2
    FAILED = 3


cdef class Waiter:
    # asyncio reads these two. There is no get_loop(), which asyncio would call where it can as well read `_loop`.
    cdef public bint _asyncio_future_blocking
    cdef readonly object _loop
    cdef Wave wave
    cdef int state
    # It waits for its turn in the wave: woken or not, it is run when it comes up.
    cdef bint listed
    cdef object callback
    cdef object context
    # Further callbacks, with their contexts; a task adds one alone.
    cdef list others
    cdef readonly object _cancel_message
    cdef object error
    cdef object __weakref__
    cdef int settle(self, int state) except -1
    cdef int call_back(self) except -1


cdef class Wave:
    cdef object loop
    cdef list woken
    cdef bint scheduled
    # A read is being routed: what it wakes is run, or scheduled, when that is done.
    cdef bint held
    # While it runs, its loop does.
    cdef bint running
    # When this turn of the loop has to end is known; it is time. Either only while it runs or is scheduled.
    cdef bint opened
    cdef bint spent
    # What was taken in this turn by all consumers, where to look at the clock next, and how far apart looks are.
    cdef Py_ssize_t run
    cdef Py_ssize_t look
    cdef Py_ssize_t step
    cdef int64_t until
    cdef int64_t looked
    # The first look while nothing was known of the turn.
    cdef int64_t began
    cdef object __weakref__
    cdef int schedule(self) except -1
    cdef int add(self, Waiter waiter) except -1
    cdef Waiter line_up(self)
    cdef bint in_time(self) except -1
    cdef int open(self, int64_t now) except -1
    cdef bint in_overtime(self) noexcept


cdef Wave wave_of(loop)
cdef Wave nobodys_wave()
