"""`jetsocket listen URI CHANNEL...`: messages as lines on stdout."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterable, Callable
from contextlib import AsyncExitStack
from itertools import count
from typing import Any

import click

import jetsocket
from jetsocket.hot import Message

from .connecting import FiniteRange, connection_keywords, connection_options, option, usage
from .interrupt import run_to_end
from .terminal import Lines, leave_closed_stdout, set_up_logging, tell

_PATIENCE = 3.0
"""Seconds without a message of any channel after which the user is told what comes in place of them."""


@click.command(short_help="Print the messages of channels, as lines.")
@click.argument("uri")
@click.argument("channels", nargs=-1, metavar="[CHANNEL]...")
@option(
    "--channel-key", metavar="PATH", help="Where the channel stands in a message, such as stream or params.channel."
)
@option(
    "--subscribe",
    metavar="TEMPLATE",
    help="The message that asks for a channel; {channel} and {id} (1, 2, …) are filled in. Without a CHANNEL it is sent"
    " once on each connection, as it is.",
)
@option("--max-messages", type=click.IntRange(min=1), metavar="N", help="End after N messages.")
@option("--duration", type=FiniteRange(min=0), metavar="SECONDS", help="End after so long.")
@option("--jsonl", is_flag=True, help='Print {"channel", "received_ns", "message"} for each message.')
@option("--heartbeat", type=FiniteRange(min=0.1), metavar="SECONDS", help="Ping so often, reconnect without a pong.")
@option(
    "--reconnect/--no-reconnect", default=True, show_default=True, help="Connect again after the connection was lost."
)
@connection_options
def listen(
    uri: str,
    channels: tuple[str, ...],
    channel_key: str | None,
    subscribe: str | None,
    max_messages: int | None,
    duration: float | None,
    jsonl: bool,
    heartbeat: float | None,
    reconnect: bool,
    verbose: int,
    **connecting: Any,
) -> int:
    """Print the messages of each CHANNEL, one a line, on stdout; without a CHANNEL all that comes.

    \b
    jetsocket listen wss://stream.binance.com:9443/stream --channel-key stream \\
      --subscribe '{"method":"SUBSCRIBE","params":["{channel}"],"id":{id}}' btcusdt@trade ethusdt@trade

    Messages are printed as they come, line ends in them as spaces, binary ones in base64. On a terminal, control
    characters are left out. Ends with Ctrl-C, and when stdout is closed (| head -1).
    """
    set_up_logging(verbose)
    if channels and channel_key is None:
        raise click.UsageError("CHANNEL needs --channel-key: where in a message does the channel's name stand?")
    if channel_key is not None and not channels:
        raise click.UsageError("--channel-key needs at least one CHANNEL")
    keywords = {"heartbeat": heartbeat, "reconnect": reconnect, **connection_keywords(uri, **connecting)}
    printer = _Printer(jsonl, max_messages)
    if channels:
        listening = _channels(uri, channels, channel_key, subscribe, keywords, printer, duration)
    else:
        listening = _everything(uri, subscribe, keywords, printer, duration)
    return run_to_end(listening)


class _Printer:
    """Turns messages into lines, up to a number of them."""

    def __init__(self, jsonl: bool, limit: int | None) -> None:
        self.lines = Lines()
        self.full = asyncio.Event()
        self._render = _as_object if jsonl else _as_it_is
        self._left = limit

    def print(self, channel: str | None, message: Message) -> None:
        if self.full.is_set():
            return
        self.lines.add(self._render(channel, message))
        if self._left is not None:
            self._left -= 1
            if self._left == 0:
                self.full.set()


def _as_it_is(_channel: str | None, message: Message) -> bytes:
    if message.binary:
        return b64encode(message.data)
    # In JSON text a line end can only be white space between the tokens.
    return message.data.replace(b"\r", b" ").replace(b"\n", b" ")


def _as_object(channel: str | None, message: Message) -> bytes:
    facts: dict[str, Any] = {"received_ns": message.received_ns}
    if channel is not None:
        facts = {"channel": channel, **facts}
    if message.binary:
        facts["binary"] = b64encode(message.data).decode()
        return json.dumps(facts).encode()
    try:
        json.loads(message.data)
    except ValueError:
        facts["message"] = message.data.decode(errors="replace")
        return json.dumps(facts).encode()
    # As it came: a number keeps its digits.
    return json.dumps(facts)[:-1].encode() + b', "message": ' + _as_it_is(channel, message) + b"}"


def _filled(template: str) -> Callable[[str], str]:
    numbers = count(1)

    def fill(channel: str) -> str:
        inside_quotes = json.dumps(channel)[1:-1]
        return template.replace("{id}", str(next(numbers))).replace("{channel}", inside_quotes)

    return fill


async def _channels(
    uri: str,
    channels: tuple[str, ...],
    channel_key: str | None,
    subscribe: str | None,
    keywords: dict[str, Any],
    printer: _Printer,
    duration: float | None,
) -> int:
    template = None if subscribe is None else _filled(subscribe)
    # Unbounded: this process reads a message only after it has printed the one before, so nothing piles up.
    with usage():
        mux: jetsocket.Multiplex[Any] = jetsocket.Multiplex(
            uri, channel_key=channel_key, subscribe_msg=template, queue_size=0, **keywords
        )
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(mux)
        subscriptions = [await mux.subscribe(channel) for channel in dict.fromkeys(channels)]
        hint = asyncio.get_running_loop().call_later(_PATIENCE, _hint, mux)
        stack.callback(hint.cancel)
        await _print_all([(one.channel, one.messages()) for one in subscriptions], printer, duration)
    return 0


def _hint(mux: jetsocket.Multiplex[Any]) -> None:
    stats = mux.stats()
    if not stats.total_messages_routed and stats.unroutable_messages:
        tell(
            f"jetsocket: no message of any CHANNEL yet, {stats.unroutable_messages} of none: an answer that refuses the"
            " subscription, or another --channel-key; without CHANNEL and --channel-key they are printed"
        )


async def _everything(
    uri: str, subscribe: str | None, keywords: dict[str, Any], printer: _Printer, duration: float | None
) -> int:
    with usage():
        websocket: jetsocket.WebSocket[Any] = jetsocket.WebSocket(uri, **keywords)
    if subscribe is not None:

        async def ask() -> None:
            await websocket.send(subscribe)

        websocket.on("connected", ask)
    async with websocket:
        await _print_all([(None, websocket.messages())], printer, duration)
    return 0


async def _print_all(
    sources: list[tuple[str | None, AsyncIterable[Message]]], printer: _Printer, duration: float | None
) -> None:
    """Until there is enough of it, nobody reads, or the time is up; raises what ended a source."""

    async def copy(channel: str | None, messages: AsyncIterable[Message]) -> None:
        async for message in messages:
            printer.print(channel, message)

    ends = [asyncio.create_task(printer.full.wait()), asyncio.create_task(printer.lines.closed.wait())]
    copies = [asyncio.create_task(copy(*source)) for source in sources]
    try:
        done, _ = await asyncio.wait([*ends, *copies], timeout=duration, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in [*ends, *copies]:
            task.cancel()
        await asyncio.gather(*ends, *copies, return_exceptions=True)
        printer.lines.flush()
        if printer.lines.closed.is_set():
            leave_closed_stdout()
    if printer.lines.error is not None:
        raise printer.lines.error
