from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path

import pytest

from jetsocket.testing import Exchange

from .conftest import COMMAND, alongside, ended, environment, interrupted, on_a_terminal, run, running

BTC, ETH = "btcusdt@trade", "ethusdt@trade"
SUBSCRIBE = ["--subscribe", '{"method":"SUBSCRIBE","params":["{channel}"],"id":{id}}']
EVERYTHING = ["--subscribe", '{"method":"SUBSCRIBE","params":["btcusdt@trade"]}']
STREAM = ["--channel-key", "stream", *SUBSCRIBE]


async def test_messages_are_printed_as_they_came() -> None:
    async with Exchange(rate=1000) as exchange:
        done = await alongside("listen", exchange.uri, *STREAM, BTC, ETH, "--max-messages", "20")
    assert (done.code, done.err) == (0, "")
    messages = [json.loads(line) for line in done.out.splitlines()]
    assert len(messages) == 20
    assert {message["stream"] for message in messages} == {BTC, ETH}
    assert [request.message["id"] for request in exchange.requests] == [1, 2]


async def test_jsonl_adds_the_channel_and_the_time() -> None:
    before = time.time_ns()
    async with Exchange(rate=1000) as exchange:
        done = await alongside("listen", exchange.uri, *STREAM, BTC, "--jsonl", "--max-messages", "3")
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert [list(line) for line in lines] == [["channel", "received_ns", "message"]] * 3
    assert all(line["channel"] == line["message"]["stream"] == BTC for line in lines)
    assert all(before < line["received_ns"] < time.time_ns() for line in lines)


async def test_without_a_channel_everything_is_printed() -> None:
    arguments = (*SUBSCRIBE, "--max-messages", "5")
    async with Exchange(paused=True) as exchange, running("listen", exchange.uri, *arguments) as child:
        await exchange.wait_requests(1)
        exchange.send_text('{"a":\r\n 1}')
        exchange.send_text("\x1b[31mnot JSON")
        exchange.send_garbage("binary")
        exchange.send_garbage("empty")
        done = await ended(child)
    answer, pretty, odd, binary, empty = done.out.splitlines()
    assert json.loads(answer)["code"] == 3  # {id} is no JSON: it was sent as it is
    assert pretty == '{"a":   1}'
    assert odd == "\x1b[31mnot JSON"
    assert binary.startswith("AAECAw")
    assert empty == ""


async def test_jsonl_of_odd_messages_is_still_json() -> None:
    arguments = ("--jsonl", "--max-messages", "3")
    async with Exchange(paused=True) as exchange, running("listen", exchange.uri, *arguments) as child:
        await exchange.wait_connected()
        exchange.send_text("not JSON")
        exchange.send_garbage("binary")
        exchange.send_text('[1.10, "\\u00fc"]')
        done = await ended(child)
    odd, binary, number = done.out.splitlines()
    assert json.loads(odd)["message"] == "not JSON"
    assert json.loads(binary)["binary"].startswith("AAECAw")
    assert number.endswith('"message": [1.10, "\\u00fc"]}')


async def test_on_a_terminal_escape_sequences_are_stripped() -> None:
    async with Exchange(paused=True) as exchange:
        arguments = ("listen", exchange.uri, "--max-messages", "1")
        terminal = asyncio.get_running_loop().run_in_executor(None, lambda: on_a_terminal(*arguments))
        await exchange.wait_connected()
        exchange.send_text("\x1b]0;owned\x07\x1b[2Jsafe")
        assert await terminal == (0, b"safe\r\n")


async def test_headers_origin_and_subprotocol_are_sent() -> None:
    heads: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b'HTTP/1.1 401 Unauthorized\r\nContent-Length: 14\r\n\r\n{"code":-2015}')
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        uri = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        options = ["-H", "X-Key: a b", "-o", "https://example.com", "-s", "v1", "-s", "v2"]
        done = await alongside("listen", uri, *options, JETSOCKET_HEADER="X-Lost: 1")
    assert done == (1, "", f'jetsocket: {uri} answered 401 Unauthorized: {{"code":-2015}} (not retried)\n')
    (head,) = heads
    assert "X-Key: a b\r\n" in head
    assert "Origin: https://example.com\r\n" in head
    assert "Sec-WebSocket-Protocol: v1, v2\r\n" in head


async def test_options_from_the_environment() -> None:
    async with Exchange(rate=1000) as exchange:
        done = await alongside(
            *("listen", exchange.uri, BTC),
            JETSOCKET_CHANNEL_KEY="stream",
            JETSOCKET_SUBSCRIBE=SUBSCRIBE[1],
            JETSOCKET_MAX_MESSAGES="2",
        )
    assert done.code == 0
    assert len(done.out.splitlines()) == 2


async def test_it_ends_after_the_duration() -> None:
    async with Exchange(rate=1000) as exchange:
        done = await alongside("listen", exchange.uri, *STREAM, BTC, "--duration", "0.3")
    assert (done.code, done.err) == (0, "")
    assert all(json.loads(line) for line in done.out.splitlines())


@pytest.mark.parametrize("rate", [0, 10])
async def test_ctrl_c_ends_it_within_a_second_without_a_traceback(rate: float) -> None:
    took = []
    while len(took) < 3 and min(took, default=1.0) >= 1:  # other processes may take the CPU away, though not always
        async with Exchange.spawn(rate=rate) as exchange, running("listen", exchange.uri, *STREAM, BTC) as child:
            assert child.stdout is not None
            await child.stdout.readline()
            done, seconds = await interrupted(child)
        assert (done.code, done.err) == (130, "")
        took.append(seconds)
    assert min(took) < 1


async def test_ctrl_c_ends_it_when_the_server_hangs() -> None:
    async with Exchange() as exchange, running("listen", exchange.uri) as child:
        await exchange.wait_connected()
        exchange.stall()
        done, seconds = await interrupted(child)
    assert (done.code, done.err) == (130, "")
    assert seconds < 1


@pytest.mark.parametrize("arguments", [[*STREAM, BTC], [*EVERYTHING, "-v"]])
async def test_a_closed_pipe_ends_it_quietly(arguments: list[str]) -> None:
    async with Exchange(rate=1000) as exchange, running("listen", exchange.uri, *arguments) as child:
        assert child.stdout is not None
        await child.stdout.readline()
        child.stdout._transport.close()  # type: ignore[attr-defined]  # a StreamReader has no other way
        assert child.stderr is not None
        errors = await child.stderr.read()
        assert await child.wait() == 0
        assert b"Traceback" not in errors
        assert b"Broken pipe" not in errors


async def test_ctrl_c_ends_it_when_nobody_reads_its_output() -> None:
    reading, writing = os.pipe()
    command = [*COMMAND, "listen"]
    async with Exchange.spawn(rate=0) as exchange:
        child = await asyncio.create_subprocess_exec(
            *command, exchange.uri, *STREAM, BTC, env=environment(), stdout=writing, stderr=asyncio.subprocess.PIPE
        )
        os.close(writing)
        # Once the pipe is full the command stands still, and with it the exchange.
        sent = -1
        while sent != (sent := await exchange.sent()) or not sent:  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(0.2)
        done, seconds = await interrupted(child)
    os.close(reading)
    assert (done.code, done.err) == (130, "")
    assert seconds < 1


async def test_it_goes_on_after_a_loss() -> None:
    async with Exchange(rate=200) as exchange, running("listen", exchange.uri, *STREAM, BTC) as child:
        assert child.stdout is not None
        first = json.loads(await child.stdout.readline())["data"]["t"]
        await exchange.wait_subscribed(BTC)
        exchange.close_all(1012)
        await exchange.wait_accepted(2)
        last = first
        sent = exchange.sent()
        while exchange.sent() == sent or last < first + sent:
            last = json.loads(await child.stdout.readline())["data"]["t"]
        child.terminate()
        assert child.stderr is not None
        assert b"closed by the server with 1012 (service restart)" in await child.stderr.read()


async def test_a_final_loss_is_the_last_line() -> None:
    async with Exchange(rate=100) as exchange, running("listen", exchange.uri, *STREAM, BTC) as child:
        assert child.stdout is not None
        await child.stdout.readline()
        exchange.close_all(4401, "token \x1b[31mexpired")
        done = await ended(child)
    assert done.code == 1
    assert done.err.startswith(f"jetsocket: {exchange.uri}: closed by the server with 4401 (private code): token")
    assert "\x1b" not in done.err
    assert done.err.count("\n") == 1


def test_the_template_is_filled_with_json() -> None:
    # The server is not there: what counts is that a quote in a channel breaks nothing before that.
    done = run("listen", "ws://127.0.0.1:1/", *STREAM, 'a"b')
    assert "refused the connection" in done.err


async def test_a_refused_subscription_is_hinted_at() -> None:
    async with Exchange() as exchange:
        exchange.refuse_subscriptions()
        done = await alongside("listen", exchange.uri, *STREAM, BTC, "--duration", "3.5")
    assert (done.code, done.out) == (0, "")
    assert "no message of any CHANNEL yet, 1 of none" in done.err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this platform has no disk that is always full")
async def test_a_full_disk_ends_it_with_one_line() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    async with Exchange(rate=100) as exchange:
        child = await asyncio.create_subprocess_exec(
            *COMMAND,
            "listen",
            exchange.uri,
            *STREAM,
            BTC,
            env=environment(),
            stdout=full,
            stderr=asyncio.subprocess.PIPE,
        )
        os.close(full)
        done = await ended(child)
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert done.err.startswith("jetsocket: [Errno 28] No space left on device")


def test_readme_and_the_help_ask_in_the_same_way() -> None:
    example = f"{SUBSCRIBE[0]} '{SUBSCRIBE[1]}' btcusdt@trade"
    assert example in run("listen", "--help").out
    assert example in (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
