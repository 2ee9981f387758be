"""The upgrade refused: what is final, what is tried again, and when."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Any

import pytest

import jetsocket
from jetsocket import BackoffConfig, ConnectionState

from ..certificates import server_context, trusting
from ..conftest import Serve
from ..peers import AT_ONCE, multiplex, told
from ..refusals import http
from ..saying import check_says
from .attempts import meet, sending, serve_on, serve_once

FINAL = {401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 410: "Gone"}
PASSING = {
    400: "Bad Request",
    402: "Payment Required",
    405: "Method Not Allowed",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    418: "I'm a Teapot",
    426: "Upgrade Required",
    429: "Too Many Requests",
    451: "Unavailable For Legal Reasons",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    599: "Odd",
    999: "Odder",
}
BODY = b'{"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}'


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("status", FINAL | PASSING)
async def test_a_refusal_is_final_or_tried_again(scripted: Serve, status: int, secure: bool) -> None:
    reason = (FINAL | PASSING)[status]
    refusal = sending(http(f"{status} {reason}", BODY, Content_Type="application/json"))
    context = server_context("127.0.0.1") if secure else None
    server = await scripted(serve_once, refusal, serve_on, ssl=context)
    error = await meet(server, ssl_context=trusting() if secure else None)
    assert type(error) is jetsocket.HandshakeError
    text = f"{server.uri} answered {status} {reason}: {BODY.decode()}"
    check_says(error, f"{text} (not retried)" if status in FINAL else text)
    assert (error.status_code, error.body, error.retryable) == (status, BODY, status not in FINAL)
    assert (error.retry_after, error.phase, server.accepted) == (None, "upgrade", 3)
    assert ("Content-Type", "application/json") in error.headers


@pytest.mark.parametrize("status", [200, 201, 204, 206, 299])
async def test_a_page_in_place_of_an_upgrade_is_tried_again(scripted: Serve, status: int) -> None:
    server = await scripted(serve_once, sending(http(f"{status} Fine")), serve_on)
    error = await meet(server)
    check_says(error, f"{server.uri} answered {status}: not a WebSocket endpoint; check the path")


async def test_control_characters_in_a_body_stay_out_of_the_text(scripted: Serve) -> None:
    body = b"no\x00\x1b[2J\r\nX: y\xff\xe2\x80\xae"
    server = await scripted(serve_once, sending(http("400 Bad Request", body)), serve_on)
    error = await meet(server)
    assert str(error).isprintable()
    assert error.body == body


# Retry-After.

HOUR = 3600.0
DECADES = "Fri, 01 Jan 2099 00:00:00 GMT"
CLOCK = "Sun, 06 Nov 1994 08:49:37 GMT"

# Its value, the server's Date, what is asked for by them, and what is waited. None: as the back-off says.
WAITS: dict[str, tuple[str, str | None, float | None, float | None]] = {
    "seconds": ("7", None, 7.0, 7.0),
    "seconds with blanks": (" 7\t", None, 7.0, 7.0),
    "none": ("0", None, 0.0, 0.0),
    "an hour": ("3600", None, HOUR, HOUR),
    "a second more": ("3601", None, 3601.0, HOUR),
    "30 years in seconds": ("1000000000", None, 1e9, HOUR),
    "more than the world lasts": ("9" * 30, None, 1e15 - 1, HOUR),
    "a number of 5,000 digits": ("9" * 5000, None, 1e15 - 1, HOUR),
    "a date": ("Sun, 06 Nov 1994 08:50:07 GMT", CLOCK, 30.0, 30.0),
    "a date of RFC 850": ("Sunday, 06-Nov-94 08:50:07 GMT", CLOCK, 30.0, 30.0),
    "a date of asctime": ("Sun Nov  6 08:50:07 1994", CLOCK, 30.0, 30.0),
    "a date in another zone": ("Sun, 06 Nov 1994 10:50:07 +0200", CLOCK, 30.0, 30.0),
    "a date that is past": ("Sun, 06 Nov 1994 08:49:07 GMT", CLOCK, 0.0, 0.0),
    "a date in 2099": (DECADES, "Thu, 31 Dec 2098 23:00:00 GMT", HOUR, HOUR),
    "a date decades ahead": (DECADES, CLOCK, 3_286_797_023.0, HOUR),
    "not a number": ("soon", None, None, None),
    "a negative number": ("-1", None, None, None),
    "a fraction": ("1.5", None, None, None),
    "an exponent": ("1e9", None, None, None),
    "infinity": ("inf", None, None, None),
    "other digits": ("\N{ARABIC-INDIC DIGIT SEVEN}", None, None, None),
    "an impossible date": ("Sun, 99 Nov 1994 08:49:37 GMT", CLOCK, None, None),
    "a date in an impossible zone": ("Sun, 06 Nov 1994 08:49:37 +99999999999999", CLOCK, None, None),
    "nothing": ("", None, None, None),
}
BACKOFF = BackoffConfig(base=0.05, multiplier=1.0, jitter=False)


async def refused_with(scripted: Serve, status: str, fields: dict[str, str], backoff: BackoffConfig) -> Any:
    """The error of a reconnect's first attempt, which is answered so; what it waits for is not waited for."""
    server = await scripted(serve_once, sending(http(status, **fields)))
    async with multiplex(server.uri, backoff=backoff) as mux:
        errors = told(mux, "error")
        await mux.subscribe("a")
        error = await errors.get()
        assert mux.state is ConnectionState.BACKING_OFF
        began = time.monotonic()
    assert time.monotonic() - began < 2, "closing does not wait for it"
    return error


@pytest.mark.parametrize(
    "what, status",
    [(what, "429 Too Many Requests") for what in WAITS] + [("seconds", "503 Service Unavailable"), ("a date", "503 X")],
)
async def test_a_multiplex_waits_as_long_as_it_is_asked_to(scripted: Serve, what: str, status: str) -> None:
    value, date, asked, waited = WAITS[what]
    fields = {"Retry-After": value} | ({} if date is None else {"Date": date})
    error = await refused_with(scripted, status, fields, BACKOFF)
    assert type(error) is jetsocket.HandshakeError
    assert error.retry_after == asked
    assert error.retry_in == max(BACKOFF.base, waited or 0.0)
    assert error.attempt == 1
    if asked is None:
        said = ""
    elif asked > HOUR:
        said = "; it asks to wait <any>, 1 h is the most"
    else:
        said = f"; it asks to wait {asked:g} s"
    check_says(error, f"{error.uri} answered {status}{said}, attempt 1, next in {error.retry_in:.1f} s")


async def test_an_absurd_wait_is_told_in_words(scripted: Serve) -> None:
    error = await refused_with(scripted, "503 Service Unavailable", {"Retry-After": "1000000000"}, BACKOFF)
    check_says(
        error,
        f"{error.uri} answered 503 Service Unavailable; it asks to wait 11574 d 2 h, 1 h is the most, "
        "attempt 1, next in 3600.0 s",
    )


async def test_a_date_where_the_server_tells_no_clock_is_compared_with_ours(scripted: Serve) -> None:
    fields = {"Retry-After": formatdate(time.time() + 100, usegmt=True)}
    error = await refused_with(scripted, "429 Too Many Requests", fields, BACKOFF)
    assert 90 < error.retry_after <= 100
    assert error.retry_in == error.retry_after


async def test_a_longer_back_off_is_kept(scripted: Serve) -> None:
    """The limit of an hour is on what a server may ask for, not on what the user has decided."""
    # Nothing to speak of before the first attempt, two hours before the second.
    backoff = BackoffConfig(base=0.001, multiplier=1e9, cap=7200.0, jitter=False)
    for value in ("7", "1000000000"):
        error = await refused_with(scripted, "429 Too Many Requests", {"Retry-After": value}, backoff)
        assert error.retry_in == 7200.0


@pytest.mark.parametrize("kind, status", [("seconds", "429 Too Many Requests"), ("date", "503 Service Unavailable")])
async def test_the_wait_is_real_and_then_the_multiplex_is_up_again(scripted: Serve, kind: str, status: str) -> None:
    fields = {"Retry-After": "1"}
    if kind == "date":
        fields = {"Retry-After": "Sun, 06 Nov 1994 08:49:38 GMT", "Date": CLOCK}
    server = await scripted(serve_once, sending(http(status, **fields)), serve_on)
    began = time.monotonic()
    error = await meet(server, backoff=AT_ONCE)
    assert error.retry_in == 1.0
    assert 1.0 <= time.monotonic() - began < 10


async def test_a_final_refusal_is_final_whatever_it_asks_for(scripted: Serve) -> None:
    server = await scripted(serve_once, sending(http("401 Unauthorized", Retry_After="1")), serve_on)
    error = await meet(server)
    check_says(error, f"{server.uri} answered 401 Unauthorized; it asks to wait 1 s (not retried)")
