"""Real proxies as processes of their own: those of a Python package, and tinyproxy and microsocks where they are."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

USER, PASSWORD = "user", "password"
_PATIENCE = 15.0
_TINYPROXY = """
Port {port}
Listen 127.0.0.1
Timeout 600
Allow 127.0.0.1
LogLevel Critical
MaxClients 50
"""


class Kind(NamedTuple):
    """`program`: what must be on PATH, None for what pip has installed."""

    program: str | None
    scheme: str

    def __str__(self) -> str:
        return f"{self.program or 'pproxy'}-{self.scheme}"

    @property
    def missing(self) -> str:
        """Why it cannot be started here; "" where it can."""
        absent = self.program is not None and shutil.which(self.program) is None
        return f"{self.program} is not on PATH" if absent else ""


KINDS = [Kind(None, "http"), Kind(None, "socks5"), Kind("tinyproxy", "http"), Kind("microsocks", "socks5")]


class ProxyProcess:
    """A running proxy on loopback; with `credentials` it asks for those of `USER`."""

    def __init__(self, kind: Kind, directory: Path, *, credentials: bool = False) -> None:
        self.kind = kind
        self.port = 0
        self._directory = directory
        self._credentials = credentials
        self._process: subprocess.Popen[str] | None = None
        self.start()

    @property
    def uri(self) -> str:
        """Its address, without credentials."""
        return f"{self.kind.scheme}://127.0.0.1:{self.port}"

    def uri_of(self, user: str, password: str) -> str:
        """Its address with these credentials."""
        return f"{self.kind.scheme}://{user}:{password}@127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it: on any port the first time, on the same one after `kill()`."""
        if self.kind.program is None:
            self._process = self._popen(*self._python_command())
            assert self._process.stdout is not None
            self.port = int(self._process.stdout.readline())
            return
        # These take no port 0: one that is free now is free a moment later as well, or another is tried.
        for _ in range(1 if self.port else 10):
            port = self.port or _free_port()
            self._process = self._popen(*self._program_command(port))
            if self._answers(port):
                self.port = port
                return
            self.kill()
        raise RuntimeError(f"{self.kind} does not start")

    def _popen(self, *command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def _python_command(self) -> list[str]:
        credentials = [f"{USER}:{PASSWORD}"] if self._credentials else []
        return [sys.executable, "-m", "tests.proxy_server", self.kind.scheme, str(self.port), *credentials]

    def _program_command(self, port: int) -> list[str]:
        if self.kind.program == "microsocks":
            credentials = ["-u", USER, "-P", PASSWORD] if self._credentials else []
            return ["microsocks", "-i", "127.0.0.1", "-p", str(port), *credentials]
        settings = self._directory / f"tinyproxy-{port}.conf"
        login = f"BasicAuth {USER} {PASSWORD}\n" if self._credentials else ""
        settings.write_text(_TINYPROXY.format(port=port) + login)
        return ["tinyproxy", "-d", "-c", str(settings)]

    def _answers(self, port: int) -> bool:
        """Wait until it takes connections; False if it ends instead."""
        assert self._process is not None
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline and self._process.poll() is None:
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", port)) == 0:
                    # Its own answer: whoever else had the port made it end.
                    return self._process.poll() is None
            time.sleep(0.01)
        return False

    def kill(self) -> None:
        """End it at once, with all its tunnels."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
