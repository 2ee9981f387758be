"""UTF-8 at the edges of fragments: every split of every length of sequence, valid and not (RFC 6455 section 8.1)."""

from __future__ import annotations

import pytest

import jetsocket
from jetsocket import ProtocolError

from ..conformance.wire import may_become_text
from ..conftest import Serve
from ..peers import CONT, PING, TEXT, Conversation, frame
from ..saying import end_of
from .open_faults import BAD_TEXT, DEFLATE, NOT_TEXT, deflated
from .playing import BTC, Misbehaving, recover

CHARACTERS = list("\u0080\u00e9\u07ff\u0800\u20ac\ud7ff\ue000\uffff\U00010000\U0001f600\U0010ffff")


def in_two(payload: bytes, cut: int, *, whole: bool = True) -> bytes:
    """A text message in two fragments with a ping between them; unless `whole`, unfinished."""
    return frame(TEXT, payload[:cut], fin=False) + frame(PING) + frame(CONT, payload[cut:], fin=whole)


def in_bytes(payload: bytes) -> bytes:
    """One in fragments of one byte, with an empty one before and behind each."""
    empty = frame(CONT, fin=False)
    parts = empty.join(frame(CONT, payload[i : i + 1], fin=False) for i in range(len(payload)))
    return frame(TEXT, fin=False) + empty + parts + frame(CONT)


async def test_every_split_of_valid_text(scripted: Serve) -> None:
    """Also with compression, where the split is one of the deflated bytes."""
    messages = ["a" + character + "b" for character in CHARACTERS] + ["".join(CHARACTERS) * 20]
    sent, data = [], b""
    for message in messages:
        payload, packed = message.encode(), deflated(message.encode())
        for cut in range(len(payload) + 1):
            data += in_two(payload, cut)
            sent.append(message)
        for cut in range(len(packed) + 1):
            data += frame(TEXT, packed[:cut], fin=False, rsv1=True) + frame(CONT, packed[cut:])
            sent.append(message)
        data += in_bytes(payload)
        sent.append(message)

    async def script(peer: Conversation) -> None:
        # Each of them was deflated in a context of its own.
        await peer.accept(f"{DEFLATE}; server_no_context_takeover", then=data)
        await peer.answer_close()

    server = await scripted(script)
    async with jetsocket.connect(server.uri, deserializer=str) as ws:
        assert [await ws.recv(5) for _ in sent] == sent
        assert ws.stats().errors == 0


CASES = {
    f"{name}, split after {cut}{'' if whole else ', unfinished'}": in_two(
        b"x" + bad + (b"y" if whole else b""), cut, whole=whole
    )
    for name, bad in BAD_TEXT.items()
    for cut in range(1, len(bad) + 2)
    for whole in (True, False)
    # What only breaks off is no fault before the message ends.
    if whole or not may_become_text(bad)
}
CASES |= {f"{name}, byte by byte": in_bytes(bad) for name, bad in BAD_TEXT.items()}
CASES |= {f"{name}, at the end": frame(TEXT, b"x" * 130 + bad) for name, bad in BAD_TEXT.items()}
CASES |= {f"{name}, at the end of a fragment": in_two(b"x" + bad, 1 + len(bad)) for name, bad in BAD_TEXT.items()}


@pytest.mark.parametrize("data", CASES.values(), ids=CASES.keys())
async def test_invalid_text(scripted: Serve, data: bytes) -> None:
    peer = Misbehaving(data)
    server = await scripted(peer)
    async with jetsocket.connect(server.uri, reconnect=False) as ws:
        assert (await ws.recv(5))["data"] == "before"
        error = await end_of(ws)
        assert str(error) == f"{server.uri}: closed with 1007 (invalid data), the server sent {NOT_TEXT}"
        assert (type(error), error.code, error.phase) == (ProtocolError, 1007, "open")
        assert await peer.close_code() == (1007, NOT_TEXT)


@pytest.mark.parametrize("bad", BAD_TEXT.values(), ids=BAD_TEXT.keys())
async def test_the_same_bytes_are_well_in_a_binary_message(scripted: Serve, bad: bytes) -> None:
    async def script(peer: Conversation) -> None:
        await peer.accept(then=frame(2, b"x" + bad, fin=False) + frame(CONT, bad))
        await peer.answer_close()

    server = await scripted(script)
    async with jetsocket.connect(server.uri, deserializer=bytes) as ws:
        assert await ws.recv(5) == b"x" + bad + bad


@pytest.mark.parametrize("kind", ["plain", "compressed"])
async def test_a_multiplex_recovers_from_invalid_text(scripted: Serve, kind: str) -> None:
    payload = b'{"stream":"' + BTC.encode() + b'","data":"\xed\xa0\x80"}'
    bad = frame(TEXT, payload) if kind == "plain" else frame(TEXT, deflated(payload), rsv1=True)
    peer = Misbehaving(bad, DEFLATE, subscriptions=2)
    error = await recover(scripted, peer)
    assert isinstance(error, ProtocolError)
    assert error.code == 1007
    assert await peer.close_code() == (1007, NOT_TEXT)
