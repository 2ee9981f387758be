"""Frames of RFC 6455, client side: messages in, masked frames out. The Python twin of `frames_out_c.pyx`."""

from __future__ import annotations


def apply_mask(data: bytes, mask: bytes) -> bytes:
    """`data` XOR the repeated four bytes of `mask` (RFC 6455 section 5.3). Raises ValueError for another length."""
    if len(mask) != 4:
        raise ValueError(f"a mask has 4 bytes, got {len(mask)}")
    size = len(data)
    key = mask * (size // 4 + 1)
    return (int.from_bytes(data, "little") ^ int.from_bytes(key[:size], "little")).to_bytes(size, "little")


def encode_frame(opcode: int, payload: bytes, mask: bytes, *, rsv1: bool = False, fin: bool = True) -> bytes:
    """One masked frame (RFC 6455 section 5.2). Raises ValueError for a mask that has not four bytes, or no opcode."""
    if not 0 <= opcode <= 15:
        raise ValueError(f"an opcode is 0 to 15, got {opcode}")
    size = len(payload)
    first = opcode | (0x80 if fin else 0) | (0x40 if rsv1 else 0)
    if size < 126:
        head = bytes((first, 0x80 | size))
    elif size < 65536:
        head = bytes((first, 0xFE)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, 0xFF)) + size.to_bytes(8, "big")
    return head + mask + apply_mask(payload, mask)
