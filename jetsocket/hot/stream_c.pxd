from .taking_c cimport Taking


cdef class MessageStream(Taking):
    cdef int deliver_some(self) except -1
    cdef int go_on_soon(self) except -1
