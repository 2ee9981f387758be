"""What `mypy --strict` says of a user's code: misspelt keywords are caught, the type of a message is known."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy", reason="mypy is not installed")

HEAD = """
from dataclasses import dataclass
from typing import TypedDict
import json
import jetsocket
import msgspec
from jetsocket import BackoffConfig, Gap, HeartbeatConfig, Message, Multiplex, MultiplexConfig, Subscription, WebSocket

URI = "wss://exchange.example/stream"

class Trade(msgspec.Struct):
    p: float

@dataclass
class Tick:
    p: float

class Row(TypedDict):
    p: float

def parse(payload: bytes) -> Trade:
    return Trade(len(payload))
"""

# Each line of what follows is right, or says behind "# E:" what mypy must say of it. "# T:" is a type to reveal.
SNIPPETS = {
    "websocket": """
async def websocket() -> None:
    async with WebSocket(URI, message_type=Trade, heartbeat=20) as ws:
        reveal_type(ws)  # T: WebSocket[Trade]
        reveal_type(await ws.recv(timeout=1.0))  # T: Trade
        reveal_type(await ws.recv_batch(10))  # T: list[Trade]
        async for trade in ws:
            reveal_type(trade)  # T: Trade
            trade.price  # E: "Trade" has no attribute "price"
        async for batch in ws.batches():
            reveal_type(batch)  # T: list[Trade]
        async for message in ws.messages():
            reveal_type(message.data)  # T: bytes
            reveal_type(message.received_ns)  # T: int
        await ws.send({"op": "subscribe"})
        reveal_type(await ws.ping())  # T: float
        reveal_type(ws.state)  # T: ConnectionState
        reveal_type(ws.latency_ms)  # T: float | None
""",
    "kinds": """
reveal_type(WebSocket(URI))  # T: WebSocket[Any]
reveal_type(WebSocket(URI, deserializer=parse))  # T: WebSocket[Trade]
reveal_type(WebSocket(URI, deserializer=bytes))  # T: WebSocket[bytes]
reveal_type(WebSocket(URI, message_type=Tick))  # T: WebSocket[Tick]
reveal_type(WebSocket(URI, message_type=Row))  # T: WebSocket[Row]
reveal_type(WebSocket(URI, deserializer=json.loads))  # T: WebSocket[Any]
reveal_type(jetsocket.connect(URI, message_type=Trade))  # T: WebSocket[Trade]
reveal_type(jetsocket.connect(URI))  # T: WebSocket[Any]
""",
    "multiplex": """
async def multiplex() -> None:
    async with Multiplex(URI, channel_key="stream", message_type=Trade, queue_size=10, backoff=BackoffConfig()) as mux:
        reveal_type(mux)  # T: Multiplex[Trade]
        trades = await mux.subscribe("btcusdt@trade", timeout=5)
        reveal_type(trades)  # T: Subscription[Trade]
        reveal_type(await trades.recv())  # T: Trade
        async for trade in trades:
            reveal_type(trade)  # T: Trade
        reveal_type(await mux.subscribe("rows", message_type=Row))  # T: Subscription[Row]
        reveal_type(await mux.subscribe("raw", deserializer=bytes))  # T: Subscription[bytes]
        reveal_type(mux.get_subscription("x"))  # T: Subscription[Trade] | None
        reveal_type(mux.stats().connection_stats.latency_ms)  # T: float | None
        reveal_type(await mux.unsubscribe("x"))  # T: bool
""",
    "gaps": """
async def heal(channel: str, gap: Gap) -> int:
    return 0

async def gaps(mux: Multiplex[Trade], events: bool) -> None:
    told = await mux.subscribe("a", events=True, queue_size=5, timeout=3.0, sequence="t")
    reveal_type(told)  # T: Subscription[Trade | Gap]
    async for item in told:
        item.p  # E: Gap
        if not isinstance(item, Gap):
            reveal_type(item)  # T: Trade
    reveal_type(await mux.subscribe("a", shared=False, recover=heal))  # T: Subscription[Trade | Gap]
    reveal_type(await mux.subscribe("a", message_type=Row, events=True))  # T: Subscription[Row | Gap]
    reveal_type(await mux.subscribe("a", deserializer=bytes, recover=heal))  # T: Subscription[bytes | Gap]
    reveal_type(await mux.subscribe("a", events=False))  # T: Subscription[Trade]
    reveal_type(await mux.subscribe("a", events=events))  # T: Subscription[Any]
    await mux.subscribe("a", queue_sise=5)  # E: No overload variant
    await mux.subscribe("a", overflow="blok")  # E: No overload variant
    many = await mux.subscribe_many(["a"], message_type=Row, timeout=2)
    reveal_type(many.subscriptions["a"])  # T: Subscription[Row]
    reveal_type((await mux.subscribe_many(["a"])).subscriptions["a"])  # T: Subscription[Trade]
    reveal_type((await mux.subscribe_many(["a"], events=True)).subscriptions["a"])  # T: Subscription[Trade | Gap]
    await mux.subscribe_many(["a"], shared=False)  # E: No overload variant
    group = await mux.subscribe_group(["a"], queue_size=5)
    reveal_type(group)  # T: SubscriptionGroup[Trade]
    async for channel, trade in group:
        reveal_type(trade)  # T: Trade
    reveal_type(await mux.subscribe_group(["a"], deserializer=bytes))  # T: SubscriptionGroup[bytes]
    healed = await mux.subscribe_group(["a"], message_type=Row, recover=heal)
    reveal_type(await healed.recv())  # T: tuple[str, Row] | Gap
    reveal_type(healed.channels)  # T: tuple[str, ...]
""",
    "multiplexes": """
reveal_type(Multiplex(URI, channel_key="stream"))  # T: Multiplex[Any]
reveal_type(Multiplex(URI, MultiplexConfig(lambda message: str(message["s"]))))  # T: Multiplex[Any]
reveal_type(Multiplex(URI, channel_key="stream", deserializer=parse))  # T: Multiplex[Trade]
declared: Multiplex[Trade] = Multiplex(URI, channel_key="stream", message_type=Trade)
""",
    "mistakes": """
WebSocket(URI, heartbeet=20)  # E: heartbeet
WebSocket(URI, heartbeat="20")  # E: heartbeat|No overload variant
WebSocket(URI, buffer=HeartbeatConfig())  # E: buffer|No overload variant
Multiplex(URI, channel_key="stream", heartbeet=20)  # E: heartbeet
Multiplex(URI, channel_key="stream", buffer=10)  # E: buffer
Multiplex(URI, channel_key=3)  # E: channel_key|No overload variant
Multiplex(URI, channel_key="stream", queue_sise=10)  # E: queue_sise
jetsocket.connect(URI, reconect=True)  # E: reconect
HeartbeatConfig(intervall=3)  # E: intervall
wrong: WebSocket[Tick] = WebSocket(URI, message_type=Trade)  # E: Trade|No overload variant
""",
}


def test_what_mypy_says(tmp_path: Path) -> None:
    source = HEAD + "".join(SNIPPETS.values())
    file = tmp_path / "users_code.py"
    file.write_text(source)
    options = ["--strict", "--no-error-summary", "--hide-error-context", "--cache-dir", str(tmp_path / "cache")]
    command = [sys.executable, "-m", "mypy", *options, "--config-file", "", str(file)]
    root = Path(__file__).resolve().parents[1]
    said = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
    assert said.stderr == ""
    remarks: dict[int, list[str]] = {}
    for line in said.stdout.splitlines():
        found = re.fullmatch(r".*users_code\.py:(\d+): (.*)", line)
        assert found, line
        remarks.setdefault(int(found[1]), []).append(found[2])
    problems = []
    for number, line in enumerate(source.splitlines(), 1):
        _, kind, wanted = line.partition("  # T: ") if "# T: " in line else line.partition("  # E: ")
        told = remarks.pop(number, [])
        if "T:" in kind:
            # Names without their modules, unions in either spelling.
            types = [re.sub(r"[a-z_]\w*\.", "", remark.replace("builtins.", "")) for remark in told]
            types = [re.sub(r"TypedDict\((\w+), \{[^}]*\}\)", r"\1", name) for name in types]
            types = [re.sub(r"Union\[(\w+(?:\[\w+\])?), None\]", r"\1 | None", name) for name in types]
            ok = types == [f'note: Revealed type is "{wanted}"']
        elif kind:
            ok = any(remark.startswith("error: ") for remark in told) and any(re.search(wanted, each) for each in told)
        else:
            ok = not told
        if not ok:
            problems.append(f"{number}: {line.strip()}\n    " + "\n    ".join(told or ["nothing was said"]))
    assert not problems, "\n".join(problems)
    assert not remarks
