cimport cython
from libc.stdint cimport int64_t, uint64_t

from .keys_c cimport ChannelKey, key_plan_t
from .ring_c cimport Gate, MessageRing, gate_t, ring_t, watch_t


cdef extern from "watch.h" nogil:
    ctypedef enum sequence_rule:
        SEQUENCE_NEXT
        SEQUENCE_PREVIOUS
        SEQUENCE_RANGE

    ctypedef struct sequence_t:
        key_plan_t* path
        key_plan_t* other
        sequence_rule rule
        bint known
        int64_t last
        int64_t last_ns
        bint strayed
        int64_t behind
        uint64_t breaks
        uint64_t repeated

    ctypedef struct watch_rules_t:
        key_plan_t* skip
        const char* text
        size_t length
        uint64_t skipped
        sequence_t* sequence

    ctypedef struct watch_channel_t:
        watch_rules_t* rules
        ring_t** rings
        size_t count


# What one router has for itself while it uses it.
cdef class Claimable:
    cdef readonly bint claimed
    cdef Gate doorway
    cdef int claim(self) except -1
    cdef int stand_behind(self, Gate doorway) except -1
    cdef gate_t* gate(self) noexcept


cdef class Sequence(Claimable):
    cdef sequence_t sequence
    cdef readonly str path
    cdef readonly str previous
    cdef readonly str first
    cdef ChannelKey key
    cdef ChannelKey other_key


cdef class Watch(Claimable):
    cdef watch_rules_t rules
    cdef readonly object skip
    cdef readonly Sequence sequence
    cdef ChannelKey skip_key
    cdef bytes text


# The two are a router's.
@cython.final
cdef class Relay:
    cdef ring_t stand_in
    cdef watch_t watch
    cdef watch_channel_t channel
    cdef Watch rules


@cython.final
cdef class Entry:
    cdef bytes name
    cdef MessageRing ring
    # Of a channel with a watch, or more rings than that one.
    cdef Relay relay
    cdef list rings
    cdef Watch watch
    cdef int lead_to(self, list rings, Relay relay) except -1
    cdef list all_rings(self)
    cdef bint has(self, MessageRing ring) except -1


cdef Relay relay_of(list rings, Watch rules)
