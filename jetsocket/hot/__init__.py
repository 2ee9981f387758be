"""The hot path, twice: compiled (`*_c.pyx`) and in pure Python (`*_py.py`). This is the switch between the two.

`JETSOCKET_EXTENSIONS` decides, for all rooms at once: `auto` (the default) takes the compiled ones where they were
built; `require` raises ImportError where they were not; `off` takes the pure ones. A compiled module that is there but
does not load raises its own error: falling back would hide a broken installation.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING

from .frames_py import OP_BINARY, OP_CLOSE, OP_CONT, OP_PING, OP_PONG, OP_TEXT, Control, Fault, InflateError

ROOMS = (
    "frames",
    "frames_out",
    "group",
    "group_stream",
    "keys",
    "latest",
    "receiving",
    "ring",
    "router",
    "sieve",
    "stream",
    "taking",
    "waiting",
    "watch",
)


def _choose() -> bool:
    word = os.environ.get("JETSOCKET_EXTENSIONS", "auto")
    if word not in ("auto", "require", "off"):
        raise ImportError(f"JETSOCKET_EXTENSIONS must be auto, require or off, got {word!r}")
    if word == "off":
        return False
    missing = [room for room in ROOMS if find_spec(f"{__name__}.{room}_c") is None]
    if missing and word == "require":
        names = ", ".join(f"{__name__}.{room}_c" for room in missing)
        raise ImportError(
            f"JETSOCKET_EXTENSIONS=require, but these compiled modules are missing: {names}; "
            "install a C compiler and reinstall jetsocket, or set JETSOCKET_EXTENSIONS=auto"
        )
    return not missing


COMPILED: bool = _choose()

if TYPE_CHECKING or not COMPILED:
    from .frames_out_py import apply_mask, encode_frame
    from .frames_py import FrameDecoder
    from .group_py import GroupMember, GroupRing
    from .group_stream_py import GroupMessage, GroupStream
    from .keys_py import ChannelKey, simd_level
    from .latest_py import LatestRing
    from .ring_py import MessageRing, Sink, Tally
    from .router_py import Router
    from .sieve_py import Sieve
    from .stream_py import Message, MessageStream
    from .waiting_py import pending, routing_wave
    from .watch_py import Sequence, Watch
else:
    from .frames_c import FrameDecoder
    from .frames_out_c import apply_mask, encode_frame
    from .group_c import GroupMember, GroupRing
    from .group_stream_c import GroupMessage, GroupStream
    from .keys_c import ChannelKey, simd_level
    from .latest_c import LatestRing
    from .ring_c import MessageRing, Sink, Tally
    from .router_c import Router
    from .sieve_c import Sieve
    from .stream_c import Message, MessageStream
    from .waiting_c import pending, routing_wave
    from .watch_c import Sequence, Watch

__all__ = [
    "COMPILED",
    "OP_BINARY",
    "OP_CLOSE",
    "OP_CONT",
    "OP_PING",
    "OP_PONG",
    "OP_TEXT",
    "ChannelKey",
    "Control",
    "Fault",
    "FrameDecoder",
    "GroupMember",
    "GroupMessage",
    "GroupRing",
    "GroupStream",
    "InflateError",
    "LatestRing",
    "Message",
    "MessageRing",
    "MessageStream",
    "Router",
    "Sequence",
    "Sieve",
    "Sink",
    "Tally",
    "Watch",
    "apply_mask",
    "encode_frame",
    "pending",
    "routing_wave",
    "simd_level",
]
