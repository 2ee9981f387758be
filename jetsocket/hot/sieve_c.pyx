# cython: language_level=3
"""What stands before a queue and keeps out of it what is no message. The Python twin is `sieve_py.py`."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint64_t

from .ring_c cimport Gate, Sink, gate_enter, gate_leave, sink_t, span_t


cdef Py_ssize_t sieve_accept(sink_t* sink, const span_t* spans, size_t count, int64_t received_ns) noexcept nogil:
    with gil:
        return (<Sieve>sink.owner).judge(spans, count, received_ns)


cdef class Sieve(Sink):
    """Keeps out of `sink` what `matches(payload)` says is no message, such as an exchange's answers to its own pings.

    `matched` counts those. A `matches` that raises lets the message through; `error` holds what it raised last. What is
    no Exception, such as KeyboardInterrupt, is raised by `wake()`.
    """

    cdef sink_t own
    cdef readonly Sink sink
    cdef readonly object matches
    cdef readonly uint64_t matched
    cdef public object error
    # What matches() raised that is not for us to keep, until `wake()` raises it.
    cdef object raised

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

    cdef Gate doorway_of(self):
        # matches() needs the GIL. What it does not want reaches the queues as if by hand.
        self.sink.doorway_of()
        return None

    cdef Py_ssize_t judge(self, const span_t* spans, size_t count, int64_t received_ns) except -2:
        cdef size_t i
        cdef Py_ssize_t taken
        for i in range(count):
            try:
                found = bool(self.matches(PyBytes_FromStringAndSize(spans[i].data, <Py_ssize_t>spans[i].length)))
            except Exception as error:
                self.error = error
                found = False
            except BaseException as error:
                self.raised = error
                found = False
            if found:
                self.matched += 1
                continue
            gate_enter(self.sink.gate)
            taken = self.sink.target.accept(self.sink.target, &spans[i], 1, received_ns)
            gate_leave(self.sink.gate)
            if taken != 1:
                return taken if i == 0 else <Py_ssize_t>i
        return <Py_ssize_t>count

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
