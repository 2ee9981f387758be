"""`jetsocket doctor URI`: every step to the first message, each with its time or its error."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import click
from rich.text import Text

from jetsocket.dial import dial
from jetsocket.errors import JetSocketError, Phase, TimeoutError
from jetsocket.hot import MessageRing, MessageStream
from jetsocket.link import Link
from jetsocket.options import Options
from jetsocket.protocol.timing import duration_text
from jetsocket.protocol.uri import Address, parse_uri

from .connecting import FiniteRange, connection_keywords, connection_options, option, usage
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

    The exit code is 1 when a step fails, or the server ends the connection. That no message comes is a failure only
    after --subscribe: most exchanges are silent until asked.
    """
    set_up_logging(verbose)
    with usage():
        address = parse_uri(uri)
        options = Options.of("doctor", connection_keywords(uri, **connecting))
    return run_to_end(_examine(address, options, subscribe, wait))


class _Report:
    """The lines, as they become known.

    After a redirect the steps are gone through again, and only their end tells where it has led: they wait for that.
    """

    def __init__(self, address: Address) -> None:
        self._console = PipedConsole()
        self._address = address
        # The steps done at each address; what is after the first one is not printed yet.
        self._rounds: list[list[tuple[Phase, float]]] = [[]]

    def _line(self, name: str, verdict: str, style: str, detail: str = "") -> None:
        self._console.print(Text.assemble(f"{name:14}", (f"{verdict:>10}", style), f"  {printable(detail)}".rstrip()))

    def phase(self, phase: Phase, seconds: float) -> None:
        """One phase of connecting is done."""
        steps = self._rounds[-1]
        steps.append((phase, seconds))
        if len(self._rounds) == 1:
            self._step(phase, seconds, steps)
        if phase == "upgrade":
            # Where it was the last one, nothing follows.
            self._rounds.append([])

    def _step(self, phase: Phase, seconds: float, steps: list[tuple[Phase, float]]) -> None:
        if phase == "upgrade" and "tls" not in (name for name, _ in steps):
            self._line("TLS", "-", "dim", "ws:// has none")
        self.done(_NAMES[phase], seconds)

    def opened(self, address: Address) -> None:
        """Connected, to `address` in the end."""
        self._rounds.pop()
        self._redirects(str(address))

    def not_opened(self, error: JetSocketError) -> None:
        """The phase that was not done has failed."""
        # One redirect too many is an error of the first address.
        self._redirects(None if error.uri == self._address.safe else error.uri)
        self.failed(_NAMES.get(error.phase or "", "connect"), error)

    def _redirects(self, last: str | None) -> None:
        rounds, self._rounds = self._rounds[1:], [[]]
        for left, steps in enumerate(rounds, 1 - len(rounds)):
            where = "an address that redirects, too" if left else last or "another address"
            self.note("redirect", f"to {where}")
            for phase, seconds in steps:
                self._step(phase, seconds, steps)

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
        report.not_opened(error)
        return 1
    report.opened(link.address)
    link.ended.add_done_callback(lambda ended: stream.end(ended.result()))
    step = "first message"
    try:
        code = await _first_message(link, stream, report, subscribe, wait)
        step = "ping"
        await _ping(link, report)
    except JetSocketError as error:
        # The connection has ended, and this is why.
        report.failed(step, error)
        return 1
    finally:
        await link.close(1000, "", options.close_timeout)
    return code


async def _first_message(link: Link, stream: MessageStream, report: _Report, subscribe: str | None, wait: float) -> int:
    """The exit code. Raises what ended the connection before a message came."""
    started = time.perf_counter()
    # A server that hangs up at once may have said before why, or does in its close frame: that is told then.
    if subscribe is not None and link.is_open:
        link.write(link.connection.message(subscribe.encode(), False))
    try:
        payload: bytes = await stream.recv(wait)
    except TimeoutError:
        if subscribe is None:
            report.note("first message", f"none in {duration_text(wait)}; many servers are silent until --subscribe")
            return 0
        report.failed("first message", TimeoutError(wait, "recv", f"none in {duration_text(wait)}"))
        return 1
    text = payload.decode(errors="replace")
    shown = text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
    report.done("first message", time.perf_counter() - started, f"{len(payload)} bytes: {shown}")
    return 0


async def _ping(link: Link, report: _Report) -> None:
    """Some servers answer none, which `heartbeat` would take for death: worth knowing, and no failure.

    Raises what ended the connection, if something did: then there was no pong to come.
    """
    if link.is_open:
        pong = link.pulse.ping()
        either: list[asyncio.Future[Any]] = [pong, link.ended]
        await asyncio.wait(either, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
        if pong.done() and not pong.cancelled() and pong.exception() is None:
            report.done("ping", pong.result())
            return
        pong.cancel()
    if link.is_open:
        report.note("ping", "no pong in 1 s: do not set heartbeat for this server")
        return
    # What is about to end has ended within a second or so. By itself: this future must not be cancelled.
    await asyncio.wait([link.ended])
    raise link.ended.result()
