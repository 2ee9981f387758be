"""`jetsocket doctor URI`: every step to the first message, each with its time or its error."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import click
from rich.text import Text

from jetsocket.dial import dial
from jetsocket.errors import JetSocketError, TimeoutError
from jetsocket.hot import MessageRing, MessageStream
from jetsocket.link import Link
from jetsocket.options import Options
from jetsocket.protocol.timing import duration_text
from jetsocket.protocol.uri import Address, parse_uri

from .connecting import FiniteRange, connection_keywords, connection_options, option
from .interrupt import run_to_end
from .terminal import PipedConsole, printable, set_up_logging

_NAMES = {"resolve": "resolve", "connect": "connect", "proxy": "proxy", "tls": "TLS", "upgrade": "upgrade"}
_SHOWN = 120
"""Characters of the first message that are printed."""


@click.command(short_help="Check each step to the first message.")
@click.argument("uri")
@option("--subscribe", metavar="MESSAGE", help="Send this once connected; then a message must come.")
@option(
    "--wait",
    type=FiniteRange(min=0),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="For the first message.",
)
@connection_options
def doctor(uri: str, subscribe: str | None, wait: float, verbose: int, **connecting: Any) -> int:
    """Check the way to URI: resolve, connect, TLS, upgrade, first message, ping; each with its time or its error.

    The exit code is 1 when a step fails. That no message comes is a failure only after --subscribe: most exchanges are
    silent until asked.
    """
    set_up_logging(verbose)
    address = parse_uri(uri)
    options = Options.of("doctor", connection_keywords(uri, **connecting))
    return run_to_end(_examine(address, options, subscribe, wait))


class _Report:
    """The lines, as they become known."""

    def __init__(self, address: Address) -> None:
        self._console = PipedConsole()
        self._address = address
        self._done: set[str] = set()

    def _line(self, name: str, verdict: str, style: str, detail: str = "") -> None:
        self._console.print(Text.assemble(f"{name:14}", (f"{verdict:>10}", style), f"  {printable(detail)}".rstrip()))

    def phase(self, phase: str, seconds: float) -> None:
        """One phase of connecting is done."""
        if phase == "upgrade" and not self._address.secure and "tls" not in self._done:
            self._line("TLS", "-", "dim", "ws:// has none")
        self._done.add(phase)
        self.done(_NAMES[phase], seconds)

    def done(self, name: str, seconds: float, detail: str = "") -> None:
        self._line(name, duration_text(seconds), "green", detail)

    def note(self, name: str, detail: str) -> None:
        self._line(name, "-", "yellow", detail)

    def failed(self, name: str, error: Exception) -> None:
        self._line(name, "FAILED", "bold red", str(error))


async def _examine(address: Address, options: Options, subscribe: str | None, wait: float) -> int:
    report = _Report(address)
    ring = MessageRing(1000)
    stream = MessageStream(ring, bytes)
    try:
        link = await dial(address, options, ring, lambda: ring.received, report.phase)
    except JetSocketError as error:
        report.failed(_NAMES.get(error.phase or "", "connect"), error)
        return 1
    link.ended.add_done_callback(lambda ended: stream.end(ended.result()))
    try:
        code = await _first_message(link, stream, report, subscribe, wait)
        return await _ping(link, report) or code
    finally:
        await link.close(1000, "", options.close_timeout)


async def _first_message(link: Link, stream: MessageStream, report: _Report, subscribe: str | None, wait: float) -> int:
    started = time.perf_counter()
    if subscribe is not None:
        link.write(link.connection.message(subscribe.encode(), False))
    try:
        payload: bytes = await stream.recv(wait)
    except TimeoutError:
        if subscribe is None:
            report.note("first message", f"none in {duration_text(wait)}; many servers are silent until --subscribe")
            return 0
        report.failed("first message", TimeoutError(wait, "recv", f"none in {duration_text(wait)}"))
        return 1
    except JetSocketError as error:
        report.failed("first message", error)
        return 1
    text = payload.decode(errors="replace")
    shown = text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
    report.done("first message", time.perf_counter() - started, f"{len(payload)} bytes: {shown}")
    return 0


async def _ping(link: Link, report: _Report) -> int:
    """Some servers answer none, which `heartbeat` would take for death: worth knowing, and no failure."""
    if not link.is_open:
        return 0
    pong = link.pulse.ping()
    either: list[asyncio.Future[Any]] = [pong, link.ended]
    await asyncio.wait(either, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
    if pong.done() and not pong.cancelled() and pong.exception() is None:
        report.done("ping", pong.result())
    else:
        pong.cancel()
        report.note("ping", "no pong in 1 s: do not set heartbeat for this server")
    return 0
