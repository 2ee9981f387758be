# cython: language_level=3
"""The memory that a transport reads into. The Python twin is `receiving_py.py`.

It is a bytearray that is replaced, never resized: a view that a transport still holds stays valid.
"""

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_FromStringAndSize
from libc.stdint cimport uint8_t
from libc.string cimport memcpy, memmove

cdef enum:
    FIRST_BUFFER = 64 * 1024
    LARGEST_IDLE_BUFFER = 256 * 1024
    LEAST_READ = 16 * 1024


cdef class ReceiveBuffer:
    """Room to read into, behind what was read before and is not yet decoded. It is for one thread at a time.

    It grows for a large frame, and when reads fill it; what a large frame took is given back when no other one comes.
    """

    def __cinit__(self):
        self.idle_size = FIRST_BUFFER
        self.replace(FIRST_BUFFER)

    cdef object space(self, bint at_rest):
        """Free space to read into. `at_rest`: it may be made smaller, as no message is being assembled."""
        cdef size_t left
        if self.pos:
            left = self.end - self.pos
            memmove(self.data, self.data + self.pos, left)
            self.pos = 0
            self.end = left
        if self.size - self.end < LEAST_READ or self.size < self.idle_size:
            self.replace(max(self.size * 2, self.idle_size))
        elif self.size > self.idle_size and at_rest:
            if self.end < self.idle_size // 2:
                self.calm += 1
            else:
                self.calm = 0
            if self.calm > 8:
                self.replace(self.idle_size)
        # Held while it is sliced: another thread, or a finalizer that runs now, may come here and replace it.
        view = self.view
        return view[<Py_ssize_t>self.end:]

    cdef int fill(self, size_t nbytes) noexcept:
        """So much was read into it, for which there is room."""
        if nbytes == self.size - self.end and self.idle_size < LARGEST_IDLE_BUFFER:
            self.idle_size *= 2
        self.end += nbytes
        return 0

    cdef int replace(self, size_t size) except -1:
        cdef bytearray storage = PyByteArray_FromStringAndSize(NULL, <Py_ssize_t>size)
        cdef uint8_t* data = <uint8_t*>PyByteArray_AS_STRING(storage)
        view = memoryview(storage)
        # What is replaced is held until all of it is: where there is no GIL, freeing may let another thread in.
        former = (self.view, self.storage)
        if self.end:
            memcpy(data, self.data, self.end)
        self.view = view
        self.storage = storage
        self.data = data
        self.size = size
        self.calm = 0
        del former
        return 0
