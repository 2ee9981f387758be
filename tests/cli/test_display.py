from __future__ import annotations

import asyncio
import os
import pty
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from jetsocket import Multiplex, Subscription
from jetsocket.cli.display import Display, LinesDisplay, LiveDisplay, choose_display
from jetsocket.cli.meter import Meter
from jetsocket.cli.terminal import printable
from jetsocket.testing import Exchange

from .conftest import environment

BTC, ETH = "btcusdt@trade", "ethusdt@trade"


@asynccontextmanager
async def market() -> AsyncIterator[tuple[Meter, Multiplex[bytes], list[Subscription[bytes]]]]:
    """A multiplex with three messages on one channel and one on the other, two of them taken."""
    async with (
        Exchange(paused=True) as exchange,
        Multiplex(exchange.uri, channel_key="stream", deserializer=bytes) as mux,
    ):
        subscriptions = [await mux.subscribe(BTC), await mux.subscribe(ETH)]
        meter = Meter()
        for price in ("1.5", "2.5", "3.5"):
            exchange.send_text(f'{{"stream":"{BTC}","data":{{"p":"{price}"}}}}')
        exchange.send_text(f'{{"stream":"{ETH}","data":{{"p":"9.5"}}}}')
        await mux.ping()
        meter.take(BTC, await subscriptions[0].recv_batch(2))
        yield meter, mux, subscriptions


async def test_a_line_tells_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    async with market() as (meter, mux, subscriptions):
        with LinesDisplay(meter, mux, subscriptions) as display:
            display.show()
            display.fault("it is pulled out")
            display.fault("it is put in again")
            assert display.faults == 2
    line, *faults = capsys.readouterr().out.splitlines()
    pattern = r" +\d+\.\d s  connected  [\d,]+ messages/s  4 routed  2 queued  0 dropped  0 reconnects  p50 -  .*"
    assert re.fullmatch(pattern, line)
    assert faults == ["fault 1: it is pulled out", "fault 2: it is put in again"]


async def test_a_table_tells_of_the_busiest_channels_and_the_last_faults(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": "200", "LINES": "50"}.items():
        monkeypatch.setenv(name, value)
    async with market() as (meter, mux, subscriptions):
        with LiveDisplay(meter, mux, subscriptions[::-1]) as display:
            for number in range(6):
                display.fault(f"number {number}")
            display.show()
            shown = "\n".join(map(printable, capsys.readouterr().out.splitlines()))
    rows = [line.split() for line in shown.splitlines() if "@trade" in line]
    assert rows == [[BTC, "2.5", "3", "1", "0"], [ETH, "1", "1", "0"]]
    assert "4 routed" in shown
    assert [f"number {number}" in shown for number in range(6)] == [False, False, True, True, True, True]


async def test_it_is_shown_again_and_again_until_it_is_cancelled() -> None:
    shown = asyncio.Event()

    class Counting(LinesDisplay):
        interval = 0.001
        times = 0

        def show(self) -> None:
            self.times += 1
            if self.times == 3:
                shown.set()

    async with market() as (meter, mux, subscriptions):
        display = Counting(meter, mux, subscriptions)
        running = asyncio.create_task(display.run())
        await asyncio.wait_for(shown.wait(), 10)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


CHOSEN = "from jetsocket.cli.display import choose_display as c; print(type(c(None, None, ())).__name__)"


@pytest.mark.parametrize("terminal, chosen", [("xterm-256color", "LiveDisplay"), ("dumb", "LinesDisplay")])
def test_a_terminal_that_can_draw_gets_the_table(terminal: str, chosen: str) -> None:
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen([sys.executable, "-c", CHOSEN], stdout=theirs, env=environment(TERM=terminal)) as child:
            assert child.wait(30) == 0
        assert os.read(ours, 1000).split() == [chosen.encode()]
    finally:
        os.close(ours)
        os.close(theirs)


async def test_anything_else_gets_lines(capsys: pytest.CaptureFixture[str]) -> None:
    async with market() as (meter, mux, subscriptions):
        display: Display = choose_display(meter, mux, subscriptions)
        assert isinstance(display, LinesDisplay)
