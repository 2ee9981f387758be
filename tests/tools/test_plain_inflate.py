"""tools/plain_inflate.py: what compressed messages mean."""

from __future__ import annotations

import zlib

import pytest

from tools.fuzzing.plain_inflate import PlainInflater, Refused

HELLO = bytes.fromhex("f248cdc9c90700")
AGAIN = bytes.fromhex("f200110000")


def test_the_context_is_kept_or_not() -> None:
    kept = PlainInflater(takeover=True)
    assert [kept.inflate(message, 7) for message in (HELLO, b"", AGAIN)] == [b"Hello", b"", b"Hello"]
    fresh = PlainInflater(takeover=False)
    assert fresh.inflate(HELLO, 7) == b"Hello"
    with pytest.raises(Refused) as refused:
        fresh.inflate(AGAIN, 5000)
    assert refused.value.codes == (1007,)


def test_a_final_block_keeps_the_window() -> None:
    inflater = PlainInflater(takeover=True)
    final = bytes.fromhex("f348cdc9c90700")
    assert inflater.inflate(final + b"\0", 100) == b"Hello"
    assert inflater.inflate(final, 100) == b"Hello"
    assert inflater.inflate(AGAIN, 100) == b"Hello"
    assert inflater.inflate(b"\x03\0" * 8 + b"\0", 100) == b""
    with pytest.raises(Refused):
        inflater.inflate(b"\x03\0" * 9 + b"\0", 100)


@pytest.mark.parametrize(
    "message, limit, codes",
    [
        (HELLO, 6, (1009,)),  # seven bytes on the wire
        (zlib.compress(bytes(100), wbits=-15), 99, (1009,)),
        (b"\xff" * 8, 5000, (1007,)),
        (HELLO[:-2], 5000, (1007,)),
    ],
)
def test_what_is_refused(message: bytes, limit: int, codes: tuple[int, ...]) -> None:
    with pytest.raises(Refused) as refused:
        PlainInflater(takeover=True).inflate(message, limit)
    assert refused.value.codes == codes


def test_what_is_too_much_and_wrong_may_be_called_either() -> None:
    wrong = zlib.compress(bytes(1000), wbits=-15)[:-2] + b"\xff" * 8
    for limit, codes in ((3000, {1007, 1009}), (900, {1009}), (5000, {1007})):
        with pytest.raises(Refused) as refused:
            PlainInflater(takeover=True).inflate(wrong, limit)
        assert set(refused.value.codes) <= codes
