# cython: language_level=3
"""Frames of RFC 6455, client side: messages in, masked frames out. The Python twin is `frames_out_py.py`."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy

cdef extern from "mask.h" nogil:
    void mask_bytes(uint8_t* target, const uint8_t* source, size_t length, const uint8_t* key)


def apply_mask(bytes data not None, bytes mask not None):
    """`data` XOR the repeated four bytes of `mask` (RFC 6455 section 5.3). Raises ValueError for another length."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
    cdef bytes masked
    if PyBytes_GET_SIZE(mask) != 4:
        raise ValueError(f"a mask has 4 bytes, got {len(mask)}")
    masked = PyBytes_FromStringAndSize(NULL, size)
    mask_bytes(<uint8_t*>PyBytes_AS_STRING(masked), <const uint8_t*>PyBytes_AS_STRING(data), <size_t>size,
               <const uint8_t*>PyBytes_AS_STRING(mask))
    return masked


def encode_frame(int opcode, bytes payload not None, bytes mask not None, *, bint rsv1=False, bint fin=True):
    """One masked frame (RFC 6455 section 5.2). Raises ValueError for a mask that has not four bytes, or no opcode."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(payload)
    cdef Py_ssize_t head = 2 if size < 126 else 4 if size < 65536 else 10
    cdef uint8_t* out
    cdef bytes frame
    cdef Py_ssize_t i
    if not 0 <= opcode <= 15:
        raise ValueError(f"an opcode is 0 to 15, got {opcode}")
    if PyBytes_GET_SIZE(mask) != 4:
        raise ValueError(f"a mask has 4 bytes, got {len(mask)}")
    frame = PyBytes_FromStringAndSize(NULL, head + 4 + size)
    out = <uint8_t*>PyBytes_AS_STRING(frame)
    out[0] = <uint8_t>(opcode | (0x80 if fin else 0) | (0x40 if rsv1 else 0))
    if head == 2:
        out[1] = <uint8_t>(0x80 | size)
    else:
        out[1] = 0xFE if head == 4 else 0xFF
        for i in range(head - 2):
            out[head - 1 - i] = <uint8_t>(<uint64_t>size >> (8 * i))
    memcpy(out + head, PyBytes_AS_STRING(mask), 4)
    mask_bytes(out + head + 4, <const uint8_t*>PyBytes_AS_STRING(payload), <size_t>size,
               <const uint8_t*>PyBytes_AS_STRING(mask))
    return frame
