"""`jetsocket demo`: an exchange in another process, and what the library makes of its data."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

import click

import jetsocket

from .balance import Balance
from .connecting import FiniteRange, option
from .display import Display, choose_display
from .faults import answered, commit
from .interrupt import run_to_end
from .meter import Meter
from .terminal import set_up_logging

if TYPE_CHECKING:
    from jetsocket.testing import ExchangeProcess

_END = "demo@end"
"""A channel that is not traded: the one message published on it comes after all others."""
_QUEUE = 65_536
_SUBSCRIBED = 30.0
"""Seconds in which it must have been asked for all channels."""
_DRAIN = 10.0
"""Seconds after the end of the feed in which everything that was sent must have come and been taken."""
_ZIPF = 0.6
"""Markets are not equally busy."""
_SYMBOLS = (
    "btc eth sol xrp bnb doge ada trx link avax sui xlm ton shib hbar ltc dot bch uni pepe aave near apt icp etc"
    " pol vet render atom fil arb algo op kas inj stx tia sei grt imx mkr ldo theta rune ftm flow sand axs egld chz"
)  # fmt: skip


@dataclass(slots=True)
class Demo:
    """A running demonstration. `rate`: messages a second, 0 for flat out; `duration` in seconds."""

    channels: list[str]
    rate: float
    duration: float
    faults: bool
    seed: int
    meter: Meter = field(default_factory=Meter)
    hangs: bool = False
    """Whether the exchange's process has not answered when it was to be ended."""

    async def run(self) -> int:
        """The exit code."""
        # An extra of its own, which the other commands do without.
        from jetsocket.testing import Exchange  # noqa: PLC0415

        async with AsyncExitStack() as stack:
            exchange = await stack.enter_async_context(
                Exchange.spawn(rate=self.rate, seed=self.seed, zipf=_ZIPF, timestamps=True, paused=True)
            )
            stack.callback(self._end_hanging, exchange)
            mux = await stack.enter_async_context(self._multiplex(exchange.uri))
            subscriptions = [await mux.subscribe(channel) for channel in self.channels]
            end = await mux.subscribe(_END)
            await answered(exchange.wait_subscribed(*self.channels, _END), _SUBSCRIBED)
            display = stack.enter_context(choose_display(self.meter, mux, subscriptions))
            tasks = [asyncio.create_task(self._consume(one)) for one in subscriptions]
            tasks.append(asyncio.create_task(display.run()))
            tasks.append(asyncio.create_task(_outlive(exchange)))
            stack.push_async_callback(_cancelled, tasks)
            # First of all when it ends: what is still sent would hold up every step of the end.
            stack.callback(self._hush, exchange)
            started, cpu = time.monotonic(), time.process_time()
            await answered(exchange.start())
            await self._watch(exchange, tasks, display)
            await answered(exchange.pause())
            elapsed, cpu = time.monotonic() - started, time.process_time() - cpu
            complete = await self._drained(exchange, mux, end)
            balance = Balance(
                account=await answered(exchange.account()),
                stats=mux.stats(),
                received={one.channel: one.stats().messages_received for one in subscriptions},
                complete=complete,
                faults=display.faults if self.faults else None,
                elapsed=elapsed,
                cpu=cpu,
                latencies=self.meter.latencies.total(),
            )
        balance.print()
        return 0 if balance.is_balanced else 3

    def _hush(self, exchange: ExchangeProcess) -> None:
        """Nothing is sent any more, unless the exchange's process hangs or has died, which is told elsewhere."""
        try:
            exchange.call("pause", timeout=1.0)
        except TimeoutError:
            self.hangs = True
        except ConnectionError:
            pass

    def _end_hanging(self, exchange: ExchangeProcess) -> None:
        """An exchange that hangs is not waited for, as one that can still end is."""
        if self.hangs and exchange.pid is not None:
            os.kill(exchange.pid, getattr(signal, "SIGKILL", signal.SIGTERM))

    def _multiplex(self, uri: str) -> jetsocket.Multiplex[bytes]:
        numbers = count(1)
        # With faults everything is done quickly, so that there is something to see.
        heartbeat = jetsocket.HeartbeatConfig(interval=0.5, timeout=0.5) if self.faults else None
        return jetsocket.Multiplex(
            uri,
            channel_key="stream",
            subscribe_msg=lambda channel: {"method": "SUBSCRIBE", "params": [channel], "id": next(numbers)},
            queue_size=_QUEUE,
            deserializer=bytes,
            compress=False,
            heartbeat=heartbeat,
            backoff=jetsocket.BackoffConfig(base=0.05, cap=1.0, reset_after=0.5),
            # All that was in flight stands before the answer to the close frame; Ctrl-C is not to wait for it.
            close_timeout=0.2,
        )

    async def _watch(self, exchange: ExchangeProcess, tasks: list[asyncio.Task[None]], display: Display) -> None:
        """Lets it run for its duration; raises what ended it before."""
        until = time.monotonic() + self.duration
        # The faults end by themselves, the last one not before all is well again.
        if self.faults:
            lasting = asyncio.create_task(commit(exchange, [*self.channels, _END], until, display.fault))
        else:
            lasting = asyncio.create_task(asyncio.sleep(self.duration))
        tasks.append(lasting)
        while not lasting.done():
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()

    async def _consume(self, subscription: jetsocket.Subscription[bytes]) -> None:
        take, channel = self.meter.take, subscription.channel
        async for batch in subscription.batches():
            take(channel, batch)

    async def _drained(
        self, exchange: ExchangeProcess, mux: jetsocket.Multiplex[bytes], end: jetsocket.Subscription[bytes]
    ) -> bool:
        """Waits until everything sent has come and been taken; False if that takes too long."""
        await answered(exchange.publish(_END, None))
        try:
            async with asyncio.timeout(_DRAIN):
                await end.recv()
                while mux.stats().total_messages_queued:  # noqa: ASYNC110 - no event tells it
                    await asyncio.sleep(0.005)
        except TimeoutError:
            return False
        return True


async def _outlive(exchange: ExchangeProcess) -> None:
    """Without the exchange there is nothing to reconnect to."""
    await exchange.wait_ended()
    raise ConnectionError("the exchange's process has ended")


async def _cancelled(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _channels(number: int) -> list[str]:
    """The names of so many trade streams, the busiest first."""
    names = _SYMBOLS.split()
    names += [f"coin{index}" for index in range(len(names), number)]
    return [f"{name}usdt@trade" for name in names[:number]]


@click.command(short_help="An exchange in another process, and its data live, to the last message.")
@option("--channels", type=click.IntRange(1, 1000), default=50, show_default=True, help="Channels to subscribe to.")
@option(
    "--rate",
    type=FiniteRange(min=0),
    default=100_000,
    show_default=True,
    help="Messages a second over all channels; 0 is flat out.",
)
@option("--duration", type=FiniteRange(min=0.1), default=10.0, show_default=True, metavar="SECONDS", help="How long.")
@option("--faults", is_flag=True, help="Let the exchange drop, hang, refuse and send garbage, and see it recover.")
@option("--seed", type=int, default=0, show_default=True, help="Of the exchange's random walk.")
@option("-v", "--verbose", count=True, help="Tell what happens, on stderr; twice: everything.")
def demo(channels: int, rate: float, duration: float, faults: bool, seed: int, verbose: int) -> int:
    """Start an exchange in another process, subscribe to its channels, and show what arrives.

    Live: messages a second, the busiest channels with price, queue depth and drops, the latency from the exchange's
    sending to the consumer. At the end: an account of every message. In a pipe it prints a line a second.
    """
    # Reconnects are what --faults is about; the display tells them.
    set_up_logging(verbose, quiet=faults)
    return run_to_end(Demo(_channels(channels), rate, duration, faults, seed).run())
