from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator

import pytest

from jetsocket.cli.interrupt import blocking, run_to_end


@pytest.fixture(autouse=True)
def handler_as_before() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    yield
    assert signal.getsignal(signal.SIGINT) == before


def ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


async def _main() -> int:
    return 7


def test_its_result_is_the_exit_code() -> None:
    assert run_to_end(_main()) == 7


async def test_what_could_not_be_started_is_closed() -> None:
    """Else Python would warn of a coroutine that was never awaited, as after an early Ctrl-C."""
    with pytest.raises(RuntimeError, match="running event loop"):
        run_to_end(_main())


def test_ctrl_c_cancels_it() -> None:
    ended: list[str] = []

    async def main() -> int:
        ctrl_c()
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("in order")
        return 0

    assert run_to_end(main()) == 130
    assert ended == ["in order"]


def test_a_second_one_does_not_wait_for_its_end() -> None:
    async def main() -> int:
        ctrl_c()
        try:
            await asyncio.sleep(60)
        finally:
            ctrl_c()
            await asyncio.sleep(60)
        return 0

    started = time.monotonic()
    assert run_to_end(main()) == 130
    assert time.monotonic() - started < 30


def test_one_breaks_off_what_blocks_the_event_loop() -> None:
    async def main() -> int:
        with blocking():
            ctrl_c()
            time.sleep(60)  # noqa: ASYNC251  # it blocks
        return 0

    assert run_to_end(main()) == 130


def test_what_cancels_itself_was_not_interrupted() -> None:
    async def main() -> int:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        run_to_end(main())


def test_what_ignores_ctrl_c_goes_on_ignoring_it() -> None:
    async def main() -> int:
        ctrl_c()
        await asyncio.sleep(0)
        return 7

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert run_to_end(main()) == 7
    finally:
        signal.signal(signal.SIGINT, before)
