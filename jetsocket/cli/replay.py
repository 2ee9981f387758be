"""`jetsocket replay FILE`: serves a recorded run."""

from __future__ import annotations

import asyncio

import click

from .connecting import FiniteRange, option
from .interrupt import run_to_end
from .terminal import tell


@click.command(short_help="Serve a recorded run.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@option("--port", type=click.IntRange(0, 65535), default=0, help="Port to listen on.  [default: a free one]")
@option(
    "--speed",
    type=FiniteRange(min=0),
    default=1.0,
    show_default=True,
    help="So many times faster than recorded; 0 is flat out.",
)
@option("--loop", is_flag=True, help="Begin again at the end.")
def replay(file: str, host: str, port: int, speed: float, loop: bool) -> int:
    """Serve a recorded run: each client gets every incoming message of FILE, from its beginning.

    FILE has one frame a line, `<receive time in ns> <"<" in | ">" out> <text>`, plain or gzipped (.gz). The address is
    printed on stdout. Ends with Ctrl-C.
    """
    return run_to_end(_serve(file, host, port, speed, loop))


async def _serve(file: str, host: str, port: int, speed: float, loop: bool) -> int:
    # An extra, which the other commands do without.
    from jetsocket.testing import Exchange  # noqa: PLC0415

    async with Exchange.replay(file, speed, loop=loop, host=host, port=port) as exchange:
        print(exchange.uri, flush=True)
        count = 0
        while True:
            await exchange.wait_accepted(count + 1)
            count = exchange.account().accepted
            tell(f"jetsocket: client {count} connected, {len(exchange.account().subscribed)} open")
            await asyncio.sleep(0)
