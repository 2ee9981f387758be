from __future__ import annotations

import pytest

from jetsocket.cli.interrupt import run_to_end


async def _main() -> int:
    return 7


def test_its_result_is_the_exit_code() -> None:
    assert run_to_end(_main()) == 7


async def test_what_could_not_be_started_is_closed() -> None:
    """Else Python would warn of a coroutine that was never awaited, as after an early Ctrl-C."""
    with pytest.raises(RuntimeError, match="running event loop"):
        run_to_end(_main())
