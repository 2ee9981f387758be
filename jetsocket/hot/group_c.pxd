from libc.stdint cimport uint64_t

from .ring_c cimport MessageRing


cdef extern from "group.h" nogil:
    ctypedef struct group_share:
        void* channel
        void* tally
        group_share* next
        uint64_t delivered
        uint64_t dropped
        size_t queued
        size_t nbytes
        bint departed
        bint counted


cdef class GroupRing(MessageRing):
    cdef readonly object channel
    # Of what is put into the group itself.
    cdef group_share own
    # Of members that are gone.
    cdef group_share* departed
    cdef int depart(self, group_share* share) noexcept
    cdef bint delivered_late(self, group_share* share) noexcept
    cdef int settle(self) noexcept
    cdef int settle_all(self, group_share* share) noexcept
