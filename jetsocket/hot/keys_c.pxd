from libc.stdint cimport uint8_t, uint64_t


cdef extern from "keys.h":
    enum:
        KEY_COPY_SLACK
        KEY_LEAD

    ctypedef struct key_node:
        uint64_t leaf
        uint64_t named
        uint64_t indexed
        uint64_t paths
        key_name* names
        key_index* indices
        size_t n_names
        size_t n_indices

    ctypedef struct key_name:
        uint64_t* word
        uint64_t* mask
        const uint8_t* text
        size_t length
        int plain
        key_node* child

    ctypedef struct key_index:
        uint64_t index
        key_node* child

    ctypedef struct key_part:
        const uint8_t* text
        size_t length
        uint64_t alternatives

    ctypedef const uint8_t* (*scan_skip_function)(const uint8_t*, const uint8_t*, const uint8_t*) noexcept nogil

    ctypedef struct key_plan_t:
        key_node* root
        key_part* parts
        size_t n_parts
        const uint8_t* tail
        size_t tail_length
        uint64_t paths
        uint8_t* lead
        size_t lead_length
        int bare
        int simple
        uint8_t* scratch
        scan_skip_function skip

    const char* scan_simd_level() noexcept nogil
    scan_skip_function scan_skip_for_this_machine() noexcept nogil
    # The length of the channel, *key at its UTF-8 bytes: in the message, or in the plan until the next call.
    # -1: no channel. For one thread at a time; the plan lives as long as its ChannelKey.
    Py_ssize_t key_locate(key_plan_t* plan, const char* data, size_t length, const char** key) noexcept nogil


cdef class ChannelKey:
    cdef key_plan_t* plan
    cdef key_plan_t _plan
    cdef str _spec
    cdef list _memory

    cdef Py_ssize_t locate(self, const char* data, size_t length, const char** key) noexcept nogil
    cdef void* _zeroed(self, size_t size) except NULL
    cdef const uint8_t* _kept(self, bytes text) except NULL
    cdef key_node* _node(self, object node) except NULL
