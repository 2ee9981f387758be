"""Addresses and headers that are asked for anew, what becomes of an attempt without them, and the pace of attempts."""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

import jetsocket
from jetsocket import BackoffConfig, Multiplex, WebSocket
from jetsocket.exchanges import KRAKEN
from jetsocket.options import Options
from jetsocket.protocol.pacing import Window
from jetsocket.target import UNKNOWN, Target
from jetsocket.testing.dialects.exchange import VenueExchange
from jetsocket.testing.dialects.limits import Limits

from .leaks import check, words_of
from .peers import AT_ONCE, told

KINDS = ["WebSocket", "Multiplex"]


@pytest.fixture
async def kraken() -> AsyncIterator[VenueExchange]:
    async with VenueExchange("kraken", limits=Limits()) as exchange:
        yield exchange


def client(kind: str, uri: Any, **options: Any) -> Any:
    given = {"backoff": AT_ONCE, **options}
    if kind == "WebSocket":
        return WebSocket(uri, **given)
    return Multiplex(uri, venue=given.pop("venue", dataclasses.replace(KRAKEN, connect_pace=())), **given)


def plain_or_async(function: Callable[[], Any], way: str) -> Callable[[], Any]:
    async def asked() -> Any:
        await asyncio.sleep(0)
        return function()

    return function if way == "plain" else asked


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", ["plain", "async"])
async def test_address_and_headers_are_asked_for_anew_for_each_connection(kraken: VenueExchange, kind: str, way: str):
    tokens, signatures = iter("abc"), iter("xyz")
    uri = plain_or_async(lambda: f"{kraken.uri}?token={next(tokens)}", way)
    headers = plain_or_async(lambda: {"X-Sign": next(signatures)}, way)
    kraken.require_query("token", "a")
    async with client(kind, uri, extra_headers=headers) as one:
        again = told(one, "reconnected")
        for token in "bc":
            kraken.require_query("token", token)
            kraken.drop_all()
            await asyncio.wait_for(again.get(), 5)
            assert one.uri == f"{kraken.uri}?token={token}"
    assert [upgrade.query["token"] for upgrade in kraken.upgrades] == ["a", "b", "c"]
    assert [upgrade.headers["X-Sign"] for upgrade in kraken.upgrades] == ["x", "y", "z"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_token_that_was_revoked_before_it_could_be_used_is_asked_for_again(kraken: VenueExchange, kind: str):
    given: list[int] = []

    def uri() -> str:
        given.append(len(given))
        if len(given) == 2:
            kraken.require_query("token", "2")  # and not the 1 that it is asked with
        return f"{kraken.uri}?token={given[-1]}"

    kraken.require_query("token", "0")
    async with client(kind, uri) as one:
        again, errors = told(one, "reconnected"), told(one, "error")
        kraken.drop_all()
        await asyncio.wait_for(again.get(), 5)
        error = await errors.get()
        assert (error.status_code, error.retryable) == (401, True)
        assert "not retried" not in str(error)
    assert [upgrade.query["token"] for upgrade in kraken.upgrades] == ["0", "1", "2"]


@pytest.mark.parametrize("kind", KINDS)
async def test_who_is_refused_again_and_again_is_refused_for_good(kraken: VenueExchange, kind: str):
    kraken.require_query("token", "0")
    async with client(kind, lambda: f"{kraken.uri}?token=0") as one:
        failed = told(one, "failed")
        kraken.require_query("token", "1")
        kraken.drop_all()
        error = await asyncio.wait_for(failed.get(), 5)
        assert (error.status_code, error.retryable) == (401, False)
        assert len(kraken.upgrades) == 1 + 4
    with pytest.raises(jetsocket.HandshakeError, match="not retried"):
        await client(kind, lambda: f"{kraken.uri}?token=0").connect()
    assert len(kraken.upgrades) == 1 + 4 + 1


def raising(error: BaseException) -> Callable[[], Any]:
    def function() -> Any:
        raise error

    return function


async def forever() -> str:
    await asyncio.Event().wait()
    return ""


def broken_pairs() -> Any:
    yield ("A", "b")
    raise KeyError("pl4nted")


def cancelled_pairs() -> Any:
    yield ("A", "b")
    raise asyncio.CancelledError


FAILURES: dict[str, tuple[str, Callable[[], Any], str]] = {
    "raises": ("uri", raising(KeyError("pl4nted")), "uri() failed: KeyError in function (test_target.py:"),
    "its time out": ("uri", raising(TimeoutError("pl4nted")), "uri() failed: TimeoutError in function (test_target"),
    "cancelled": ("uri", raising(asyncio.CancelledError()), "uri() failed: CancelledError in function"),
    "an error of ours": (
        "uri",
        raising(jetsocket.InvalidStateError("closed", "open", "send", "the other is closed")),
        "uri() failed: the other is closed",
    ),
    "no text": ("uri", lambda: b"ws://u:pl4nted@h/", "uri() failed: uri must be a str, got bytes"),
    "nothing": ("uri", lambda: None, "uri() failed: uri must be a str, got NoneType"),
    "no address": ("uri", lambda: "ftp://u:pl4nted@h/", "uri() failed: "),
    "an injected line": ("uri", lambda: "ws://127.0.0.1/\r\nX: y", "cannot stand in an address (at position 15)"),
    "hangs": ("uri", forever, "uri() failed: it took longer than connect_timeout, 0.1 s"),
    "headers raise": ("headers", raising(OSError("pl4nted")), "extra_headers() failed: OSError in function"),
    "headers that are none": ("headers", lambda: 7, "extra_headers() failed: extra_headers must be a mapping or pairs"),
    "headers with a line": (
        "headers",
        lambda: {"X-Key": "pl4nted\r\nHost: evil"},
        "extra_headers() failed: header 'X-Key' must not contain '\\r' (at position 7)",
    ),
    "reserved headers": ("headers", lambda: {"Upgrade": "pl4nted"}, "extra_headers() failed: header 'Upgrade' is set"),
    "pairs that raise": ("headers", broken_pairs, "extra_headers() failed: KeyError in broken_pairs"),
    "pairs of a cancelled task": ("headers", cancelled_pairs, "extra_headers() failed: CancelledError in cancelled_"),
    "headers hang": ("headers", forever, "extra_headers() failed: it took longer than connect_timeout, 0.1 s"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FAILURES)
async def test_without_them_the_attempt_has_failed_for_that_reason_and_is_made_again(
    kraken: VenueExchange, kind: str, name: str
):
    what, failing, words = FAILURES[name]
    asked = 0

    def function() -> Any:
        nonlocal asked
        asked += 1
        return failing() if asked % 2 else right

    right: Any = kraken.uri if what == "uri" else {"X-Sign": "s"}
    given = {"uri": function} if what == "uri" else {"uri": kraken.uri, "extra_headers": function}
    one = client(kind, connect_timeout=0.1, **given)
    # The first connect makes one attempt.
    with pytest.raises(jetsocket.ConnectionError) as caught:
        await one.connect()
    assert words in str(caught.value)
    assert caught.value.retryable
    assert str(caught.value).startswith(str(UNKNOWN) if what == "uri" else f"{kraken.uri}: cannot connect: ")
    check(str(caught.value) + repr(vars(caught.value)))
    await one.connect()
    errors, again = told(one, "error"), told(one, "reconnected")
    kraken.drop_all()
    await asyncio.wait_for(again.get(), 5)
    (error,) = [errors.get_nowait() for _ in range(errors.qsize())]
    assert words in str(error)
    assert "attempt 1" in str(error)
    assert asked == 4
    assert len(kraken.upgrades) == 2
    await one.close()


async def test_a_function_may_give_up_for_good(kraken: VenueExchange):
    error = jetsocket.ConnectionError("no token any more", retryable=False)
    ws: WebSocket[Any] = WebSocket(raising(error), backoff=AT_ONCE)
    with pytest.raises(jetsocket.ConnectionError, match="no token any more"):
        await ws.connect(timeout=5)
    assert ws.state.value == "failed"


async def test_max_attempts_counts_these_too(kraken: VenueExchange):
    ws: WebSocket[Any] = WebSocket(raising(ValueError()), backoff=BackoffConfig(base=0.0, max_attempts=3))
    with pytest.raises(jetsocket.ConnectionError, match="attempt 3"):
        await ws.connect(timeout=5)


@pytest.mark.parametrize("kind", KINDS)
async def test_close_ends_the_asking(kind: str):
    began = asyncio.Event()

    async def uri() -> str:
        began.set()
        return await forever()

    one = client(kind, uri)
    connecting = asyncio.create_task(one.connect())
    await began.wait()
    await asyncio.wait_for(one.close(), 2)
    with pytest.raises(jetsocket.InvalidStateError):
        await connecting


async def test_before_it_is_asked_for_the_address_is_unknown():
    ws: WebSocket[Any] = WebSocket(forever)
    assert ws.uri == "an address not asked for yet"
    assert repr(ws) == "WebSocket(uri='an address not asked for yet', state=idle)"
    target = Target(raising(ValueError()), Options())
    with pytest.raises(jetsocket.ConnectionError) as caught:
        await target.next()
    assert caught.value.uri is None


async def test_an_asked_address_with_ssl_context_must_be_encrypted():
    target = Target(lambda: "ws://u:pl4nted@h/", Options(ssl_context=ssl.create_default_context()))
    with pytest.raises(jetsocket.ConnectionError, match="ssl_context is for wss://") as caught:
        await target.next()
    check(words_of(caught.value))


# The pace of attempts.


async def test_attempts_are_paced_over_several_multiplexes(kraken: VenueExchange):
    kraken.limits = Limits(connects=(Window(3, 0.2),))
    # With room for what a busy machine makes of it: the exchange sees when an attempt arrives, not when it was made.
    venue = dataclasses.replace(KRAKEN, connect_pace=(Window(3, 0.3),))
    several = [client("Multiplex", kraken.uri, venue=venue) for _ in range(7)]
    begin = time.monotonic()
    await asyncio.gather(*(one.connect() for one in several))
    assert 0.66 <= time.monotonic() - begin < 3
    assert kraken.violations == []
    assert [upgrade.status for upgrade in kraken.upgrades] == [101] * 7
    again = [told(one, "reconnected") for one in several]
    kraken.drop_all()
    await asyncio.wait_for(asyncio.gather(*(one.get() for one in again)), 5)
    assert kraken.violations == []
    await asyncio.gather(*(one.close() for one in several))


async def test_other_hosts_and_other_paces_have_attempts_of_their_own():
    pace = (Window(1, 3600.0),)
    for uri in ("ws://a.test/", "ws://b.test/", "ws://127.0.0.1:1001/", "ws://127.0.0.1:1002/", "ws://[::1]:1003/x"):
        await asyncio.wait_for(Target(uri, Options(), pace).next(), 5)
    await asyncio.wait_for(Target("ws://a.test/", Options(), (Window(1, 60.0),)).next(), 5)
    await asyncio.wait_for(Target("ws://a.test/", Options()).next(), 5)
    # One more of the same, whatever its port and path: not within the hour.
    for uri in ("wss://a.test:9443/stream", "ws://A.test/"):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(Target(uri, Options(), pace).next(), 0.02)


async def test_what_is_asked_for_is_as_fresh_as_can_be():
    """A signature may hold good for seconds: it is made behind the wait, not before it."""
    asked: list[float] = []

    def headers() -> dict[str, str]:
        asked.append(time.monotonic())
        return {}

    def uri() -> str:
        asked.append(time.monotonic())
        return "ws://fresh.test/"

    target = Target(uri, Options(extra_headers=headers), (Window(1, 0.05),))
    await target.next()
    first = time.monotonic()
    address, _ = await target.next()
    assert address.host == "fresh.test"
    assert len(asked) == 4
    assert all(moment - first >= 0.04 for moment in asked[2:])


async def test_an_address_on_another_host_waits_for_that_one():
    pace = (Window(1, 0.05),)
    await Target("ws://taken.test/", Options(), pace).next()
    hosts = iter(["ws://free.test/", "ws://taken.test/"])
    target = Target(lambda: next(hosts), Options(), pace)
    begin = time.monotonic()
    assert (await target.next())[0].host == "free.test"
    assert (await target.next())[0].host == "taken.test"
    assert time.monotonic() - begin >= 0.04


async def test_who_gives_up_waiting_for_an_attempt_has_made_none():
    pace = (Window(1, 0.1),)
    target = Target("ws://given-up.test/", Options(), pace)
    await target.next()
    begin = time.monotonic()
    waiting = [asyncio.create_task(target.next()) for _ in range(5)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await target.next()
    assert time.monotonic() - begin < 0.3


async def test_the_given_options_stay_as_they_are():
    options = Options(extra_headers=lambda: {"A": "1"})
    _, asked = await Target("ws://h/", options).next()
    assert list(asked.headers or ()) == [("A", "1")]
    assert options.headers is None
    assert callable(options.extra_headers)


def test_a_context_for_tls_needs_an_address_with_tls() -> None:
    with pytest.raises(ValueError, match="wss://"):
        WebSocket("ws://127.0.0.1:1/", ssl_context=ssl.create_default_context())
