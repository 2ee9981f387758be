"""What is done to the client, one thing after another; each waits until what it should bring about has happened.

A fault that does not bring about what it should is a finding: nobody noticed it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from jetsocket.testing.wire import Garbage

from .client import Client, Options
from .process import ExchangeProcess
from .wish import Wish

# Seconds within which a fault must be noticed, on a machine that has other things to do as well.
PATIENCE = 45.0
_LOOK = 0.02

_ODD: tuple[Garbage, ...] = ("text", "json", "binary", "empty")
_BROKEN: tuple[Garbage, ...] = ("utf8", "opcode", "rsv", "masked", "fragment", "control", "length", "close")


class Unnoticed(Exception):
    """A fault did not bring about what it should."""


class Scene:
    """Where faults are committed."""

    def __init__(self, exchange: ExchangeProcess, client: Client, options: Options) -> None:
        self.exchange = exchange
        self.client = client
        self.options = options
        self.random = Random(options.seed)
        self.ask = exchange.ask

    async def until(self, happened: Callable[[], bool], what: str) -> None:
        """Raises Unnoticed when it does not happen."""
        deadline = time.monotonic() + PATIENCE
        while not happened():
            if time.monotonic() > deadline:
                raise Unnoticed(f"{what} did not happen in {PATIENCE:g} s")
            self.client.raise_failed()
            await asyncio.sleep(_LOOK)

    def grown(self, event: str, by: int = 1) -> Callable[[], bool]:
        """Whether the client has told of so many more `event`s than it has now."""
        events = self.client.events
        goal = events[event] + by
        return lambda: events[event] >= goal

    async def reconnected(self, accepted: int) -> None:
        """Until the exchange has accepted more connections than `accepted`."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self.ask("wait_accepted", accepted + 1)
        except TimeoutError:
            raise Unnoticed(f"a new connection did not come in {PATIENCE:g} s") from None

    async def accepted(self) -> int:
        """How many connections were accepted so far, the present one included."""
        await self.ask("wait_connected", 1)
        return int((await self.ask("facts"))["accepted"])

    async def live(self) -> None:
        """Until something newer than what is now has come of all that is wanted."""
        numbers = await self.ask("numbers")
        await self.until(lambda: not self.client.missing(numbers), "that every wanted channel is live")

    def single(self, way: str | None = None) -> Wish:
        """Any that is being read."""
        found = [one for one in self.client.singles() if one.reading is not None and way in (None, one.way)]
        if not found:
            raise Unnoticed("there is no single channel to do it to")
        return self.random.choice(found)

    def stoppable(self) -> Wish:
        """Any that is read by a task, which can be held up."""
        return self.random.choice(
            [one for one in self.client.wishes if one.way != "listen" and one.reading is not None]
        )


Fault = Callable[[Scene], Awaitable[None]]


# The connection.


async def _reset(scene: Scene) -> None:
    accepted = await scene.accepted()
    await scene.ask("drop_all", reset=True)
    await scene.reconnected(accepted)


async def _end(scene: Scene) -> None:
    accepted = await scene.accepted()
    await scene.ask("drop_all", reset=False)
    await scene.reconnected(accepted)


async def _close(scene: Scene) -> None:
    accepted = await scene.accepted()
    await scene.ask("close_all", scene.random.choice((1001, 1011, 1012, 1013, None)))
    await scene.reconnected(accepted)


async def _broken_frame(scene: Scene) -> None:
    accepted = await scene.accepted()
    await scene.ask("garble", scene.random.choice(_BROKEN))
    await scene.reconnected(accepted)


async def _maintenance(scene: Scene) -> None:
    noticed, replaced = scene.grown("notice"), scene.grown("replaced")
    accepted = await scene.accepted()
    await scene.ask("notice", "maintenance")
    await scene.until(noticed, "the event of the notice")
    await scene.until(replaced, "the connection's being replaced")
    await scene.reconnected(accepted)


async def _refused_handshakes(scene: Scene) -> None:
    accepted = await scene.accepted()
    status = scene.random.choice((429, 500, 502, 503))
    await scene.ask("refuse_handshakes", status, times=scene.random.randint(1, 3))
    await scene.ask("drop_all")
    await scene.reconnected(accepted)


async def _pings(scene: Scene) -> None:
    await scene.accepted()
    pongs = (await scene.ask("facts"))["pongs"]
    for _ in range(scene.random.randint(1, 20)):
        await scene.ask("server_ping")
    deadline = time.monotonic() + PATIENCE
    while (await scene.ask("facts"))["pongs"] == pongs:
        if time.monotonic() > deadline:
            raise Unnoticed("no pong came")
        await asyncio.sleep(_LOOK)


# Data.


async def _silent(scene: Scene) -> None:
    accepted = await scene.accepted()
    silent = scene.grown("silent")
    await scene.ask("silence")
    await scene.until(silent, "the event that no data come")
    await scene.ask("unsilence")
    await scene.reconnected(accepted)


async def _hangs(scene: Scene) -> None:
    accepted = await scene.accepted()
    silent = scene.grown("silent")
    await scene.ask("mute")
    await scene.until(silent, "the event that no data come")
    await scene.ask("unmute")
    await scene.reconnected(accepted)


async def _silent_channel(scene: Scene) -> None:
    await scene.live()
    channel = scene.random.choice(scene.random.choice(scene.client.wishes).channels)
    stale = scene.client.stale
    again, anew = stale[channel, "resubscribe"], stale[channel, "reconnect"]
    await scene.ask("silence", channel)
    await scene.until(lambda: stale[channel, "resubscribe"] > again, f"that {channel} is stale")
    if scene.random.random() < 1 / 3:
        await scene.until(lambda: stale[channel, "reconnect"] > anew, f"that {channel} has the connection replaced")
    await scene.ask("unsilence", channel)


async def _odd_messages(scene: Scene) -> None:
    await scene.accepted()
    multiplex = scene.client.multiplex
    before = multiplex.stats().unroutable_messages
    sent = sum([await scene.ask("garble", kind) for kind in _ODD])
    sent += await scene.ask("send_text", '{"result":null,"id":4711}')
    sent += await scene.ask("send_text", '{"stream":"nobody@trade","data":{"t":1}}')
    await scene.ask("cut_off", scene.single().channels[0])
    if sent:
        await scene.until(lambda: multiplex.stats().unroutable_messages >= before + sent, "that odd messages came")


async def _leap(scene: Scene) -> None:
    await scene.live()
    broken = scene.grown("gap, sequence")
    for wish in scene.random.sample(scene.client.wishes, 3):
        await scene.ask("leap", scene.random.choice(wish.channels), scene.random.randint(1, 1000))
    await scene.until(broken, "the gap where numbers were left out")


# Requests.


async def _refusal(scene: Scene) -> None:
    await scene.accepted()
    wishes = [wish for wish in scene.client.refusable() if wish.wanted.is_set() and wish.reading is not None]
    chosen = scene.random.sample(wishes, min(len(wishes), scene.random.randint(1, 3)))
    refused = [(wish, channel) for wish in chosen for channel in wish.channels[:2]]
    for _, channel in refused:
        await scene.ask("refuse", channel)
    await scene.ask("drop_all")
    for wish, channel in refused:
        await scene.until(lambda: channel in wish.refused or channel in wish.gone(), f"that {channel} is refused")  # noqa: B023
    await scene.ask("accept")
    for wish in chosen:
        await wish.want_again()


async def _ignored(scene: Scene) -> None:
    await scene.accepted()
    restored = scene.grown("resubscribed")
    await scene.ask("ignore_requests", times=scene.random.randint(1, 3))
    await scene.ask("drop_all")
    await scene.until(restored, "that all is subscribed to again")
    await scene.ask("accept")


async def _late_answers(scene: Scene) -> None:
    accepted = await scene.accepted()
    restored = scene.grown("resubscribed")
    await scene.ask("delay_acks")
    await scene.ask("drop_all")
    await scene.reconnected(accepted)
    await asyncio.sleep(scene.random.uniform(0.5, 1.5) * scene.options.answer_timeout)
    await scene.ask("release_acks")
    await scene.until(restored, "that all is subscribed to again")


async def _changes(scene: Scene) -> None:
    """The user leaves channels, and wants them again, before the connection is lost and while there is none."""
    accepted = await scene.accepted()
    wishes = [wish for wish in scene.client.singles() if wish.reading is not None]
    first, second, third = scene.random.sample(wishes, 3)
    await first.drop()
    await scene.ask("drop_all")
    await second.drop()
    await first.want_again()
    await scene.reconnected(accepted)
    await third.drop()
    await second.want_again()
    await third.want_again()


# The client itself.


async def _fall_behind(scene: Scene, wish: Wish) -> None:
    """Until its queue is full, and cannot take what comes."""
    assert wish.reading is not None
    stats = wish.reading.subscription.stats
    if wish.terms.get("overflow") == "block":
        most = wish.terms["queue_size"]
        await scene.until(lambda: stats().queue_size >= most, f"that the queue of {wish} is full")
    else:
        before = stats().messages_dropped
        await scene.until(lambda: stats().messages_dropped > before, f"that the queue of {wish} overflows")


async def _slow_consumer(scene: Scene) -> None:
    wish = scene.stoppable()
    silent = scene.client.events["silent"]
    with wish.stopped():
        await _fall_behind(scene, wish)
        await asyncio.sleep(scene.random.uniform(0.2, 1.5) * scene.options.data_timeout)
    if scene.client.events["silent"] != silent:
        raise Unnoticed(f"a slow consumer, {wish}, was taken for an exchange that sends no data")


async def _reset_behind_a_slow_consumer(scene: Scene) -> None:
    accepted = await scene.accepted()
    wish = scene.stoppable()
    with wish.stopped():
        await _fall_behind(scene, wish)
        await scene.ask("drop_all")
        await asyncio.sleep(scene.random.uniform(0.0, 0.5) * scene.options.data_timeout)
    await scene.reconnected(accepted)


async def _blocked_loop(scene: Scene) -> None:
    wish = scene.single("listen")
    assert wish.reading is not None
    blocked, silent = scene.grown("blocked"), scene.client.events["silent"]
    # A timer of a quarter of a second is to be late by half a second: what is shorter may pass between two looks.
    wish.reading.nap = scene.random.uniform(0.8, 0.8 + scene.options.data_timeout)
    await scene.until(blocked, "the event that the event loop was blocked")
    if scene.client.events["silent"] != silent:
        raise Unnoticed("a blocked event loop was taken for an exchange that sends no data")


FAULTS: dict[str, Fault] = {
    "reset": _reset,
    "end of stream": _end,
    "close frame": _close,
    "broken frame": _broken_frame,
    "maintenance": _maintenance,
    "refused handshakes": _refused_handshakes,
    "pings": _pings,
    "silence": _silent,
    "hanging exchange": _hangs,
    "silent channel": _silent_channel,
    "odd messages": _odd_messages,
    "numbers left out": _leap,
    "refusal": _refusal,
    "ignored requests": _ignored,
    "late answers": _late_answers,
    "changed wishes": _changes,
    "slow consumer": _slow_consumer,
    "reset behind a slow consumer": _reset_behind_a_slow_consumer,
    "blocked event loop": _blocked_loop,
}


def chosen(options: Options) -> list[str]:
    """The names of those that can be committed with `options`. ValueError for one that there is not."""
    for name in options.faults:
        if name not in FAULTS:
            raise ValueError(f"no such fault: {name!r}; there are {', '.join(FAULTS)}")
    wanted: list[Any] = list(options.faults or FAULTS)
    return [name for name in wanted if name != "silent channel" or options.stale_after is not None]
