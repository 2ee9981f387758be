"""A real proxy as a process: `python -m tests.proxy_server http|socks5 PORT [USER:PASSWORD]`.

Says on stdout which port it has (0 asks for any), and ends when stdin does.
"""

from __future__ import annotations

import asyncio
import sys

import pproxy


async def serve(scheme: str, port: str, credentials: str = "") -> None:
    listening = await pproxy.Server(f"{scheme}://127.0.0.1:{port}/#{credentials}").start_server(
        # Who was right once must be right the next time, too.
        {"rserver": [], "authtime": -1}
    )
    print(listening.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
