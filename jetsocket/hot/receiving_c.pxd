from libc.stdint cimport uint8_t


cdef class ReceiveBuffer:
    cdef bytearray storage
    cdef object view
    cdef uint8_t* data
    cdef size_t size
    # What was read and not yet decoded lies between these.
    cdef size_t pos
    cdef size_t end
    cdef size_t idle_size
    cdef int calm
    cdef object space(self, bint at_rest)
    cdef int fill(self, size_t nbytes) noexcept
    cdef int replace(self, size_t size) except -1
