"""Compressed messages that are none: cut anywhere, changed anywhere, without an end (RFC 7692 section 7.2.2)."""

from __future__ import annotations

import zlib

import pytest

import jetsocket
from jetsocket import JetSocketError, ProtocolError

from ..conftest import Serve
from ..peers import BINARY, CONT, TEXT, Conversation, frame
from .open_faults import DEFLATE, deflated
from .playing import Misbehaving, recover

PAYLOAD = b'{"stream":"btcusdt@trade","data":{"p":"65000.10","q":"0.001"}}'
# Fixed codes, and codes of its own.
SHORT, LONG = deflated(PAYLOAD), deflated(bytes(range(32, 127)) * 3 + PAYLOAD * 2 + bytes(range(127)))
BREAKS_OFF = "a compressed message that breaks off"


def stored(payload: bytes, announced: int) -> bytes:
    """A stored block that announces so many bytes."""
    return b"\x00" + announced.to_bytes(2, "little") + (announced ^ 0xFFFF).to_bytes(2, "little") + payload


ENDLESS = {
    "a stored block that announces more": stored(PAYLOAD, 65535),
    "a stored block that announces as much as the tail": stored(PAYLOAD, len(PAYLOAD) + 4),
    "a block cut in half": LONG[: len(LONG) // 2],
    "a block of fixed codes cut in half": SHORT[: len(SHORT) // 2],
}
BROKEN = {
    "a reserved block type": b"\x06",
    "a stored block whose lengths disagree": b"\x00\x05\x00\x05\x00hello",
    "a distance beyond the beginning": zlib.compress(PAYLOAD * 2, wbits=-15, level=9)[40:],
    "an empty message's octet, set": b"\xff",
}


async def outcome(server_uri: str) -> bytes | JetSocketError:
    """The one message, or why there is none."""
    async with jetsocket.connect(server_uri, reconnect=False, deserializer=bytes) as ws:
        try:
            return await ws.recv(5)
        except JetSocketError as error:
            return error


async def sent_alone(scripted: Serve, payloads: list[bytes], opcode: int = BINARY) -> list[bytes | JetSocketError]:
    """Each of them as a compressed message on a connection of its own: what became of it."""
    waiting = iter(payloads)

    async def script(peer: Conversation) -> None:
        await peer.accept(DEFLATE, then=frame(opcode, next(waiting), rsv1=True))
        await peer.answer_close()

    server = await scripted(script)
    return [await outcome(server.uri) for _ in payloads]


@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["text", "binary"])
@pytest.mark.parametrize("data", [*ENDLESS.values(), *BROKEN.values()], ids=[*ENDLESS, *BROKEN])
async def test_what_is_no_deflate(scripted: Serve, data: bytes, opcode: int) -> None:
    peer = Misbehaving(frame(opcode, data, rsv1=True), DEFLATE, subscriptions=2)
    error = await recover(scripted, peer)
    assert isinstance(error, ProtocolError)
    assert (error.code, error.phase) == (1007, "open")
    reason = BREAKS_OFF if data in ENDLESS.values() else "a compressed message that does not inflate"
    assert f"closed with 1007 (invalid data), the server sent {reason}" in str(error)
    assert (await peer.close_code())[0] == 1007


async def test_a_message_cut_at_every_byte(scripted: Serve) -> None:
    """Never is anything delivered that it did not say; and seldom a part of it, where zlib does not tell."""
    results = await sent_alone(scripted, [SHORT[:cut] for cut in range(1, len(SHORT))])
    delivered = [result for result in results if isinstance(result, bytes)]
    assert all(PAYLOAD.startswith(result) for result in delivered)
    assert len(delivered) < len(results) / 4
    assert {result.code for result in results if isinstance(result, ProtocolError)} == {1007}


async def test_a_message_changed_at_every_byte(scripted: Serve) -> None:
    """Deflate has no checksum: what still inflates is a message. Nothing hangs, and nothing else is raised."""
    changed = [SHORT[:i] + bytes([SHORT[i] ^ bit]) + SHORT[i + 1 :] for i in range(len(SHORT)) for bit in (1, 0x80)]
    for result in await sent_alone(scripted, changed):
        assert isinstance(result, (bytes, ProtocolError))
        if isinstance(result, ProtocolError):
            assert result.code == 1007


async def test_a_context_that_was_spoilt_is_not_used_again(scripted: Serve) -> None:
    """The message behind one that breaks off begins amid its block: neither is delivered."""
    context = zlib.compressobj(wbits=-15)

    def packed(payload: bytes) -> bytes:
        return (context.compress(payload) + context.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")

    first, second, third = packed(b"1"), packed(PAYLOAD), packed(b"3")

    async def script(peer: Conversation) -> None:
        data = frame(TEXT, first, rsv1=True) + frame(TEXT, second[:20], rsv1=True) + frame(TEXT, third, rsv1=True)
        await peer.accept(DEFLATE, then=data)
        await peer.ended()

    server = await scripted(script)
    async with jetsocket.connect(server.uri, reconnect=False) as ws:
        assert await ws.recv(5) == 1
        with pytest.raises(ProtocolError, match=BREAKS_OFF):
            await ws.recv(5)
        assert ws.stats().messages_received == 1


async def test_a_compressed_message_without_an_end(scripted: Serve) -> None:
    """Its bytes count against the limit before any of them is inflated."""

    async def script(peer: Conversation) -> None:
        await peer.accept(DEFLATE, then=frame(BINARY, stored(b"", 65535), fin=False, rsv1=True))
        while True:
            await peer.send(frame(CONT, bytes(10_000), fin=False))

    server = await scripted(script)
    async with jetsocket.connect(server.uri, reconnect=False, max_message_size=200_000) as ws:
        with pytest.raises(ProtocolError, match=r"a message of at least 200\d{3} bytes; ") as caught:
            await ws.recv(5)
        assert caught.value.code == 1009
