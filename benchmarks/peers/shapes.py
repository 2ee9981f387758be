"""The trades' type, as a user of msgspec would write it."""

from __future__ import annotations

from msgspec import Struct


class Trade(Struct):
    """The field names are the exchange's."""

    e: str
    E: int
    s: str
    t: int
    p: str
    q: str
    T: int
    m: bool
    M: bool


class Combined(Struct):
    stream: str
    data: Trade
