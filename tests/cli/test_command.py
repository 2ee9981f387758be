from __future__ import annotations

import os
import subprocess

import pytest

import jetsocket

from .conftest import COMMAND, environment, run

SUBCOMMANDS = ["demo", "listen", "doctor", "info", "replay"]


def test_the_version() -> None:
    assert run("--version") == (0, f"jetsocket, version {jetsocket.__version__}\n", "")


@pytest.mark.parametrize("subcommand", SUBCOMMANDS)
def test_every_subcommand_has_help(subcommand: str) -> None:
    done = run(subcommand, "--help")
    assert (done.code, done.err) == (0, "")
    assert f"Usage: jetsocket {subcommand}" in done.out
    assert run(subcommand, "-h") == done


def test_help_documents_the_exit_codes() -> None:
    done = run("--help")
    assert done.code == 0
    assert all(subcommand in done.out for subcommand in SUBCOMMANDS)
    assert all(f"\n  {code}" in done.out for code in ("  0 ", "  1 ", "  2 ", "  3 ", "  130 "))


def test_without_a_subcommand_the_help_is_shown() -> None:
    done = run()
    assert (done.code, done.out) == (2, "")
    assert "Usage: jetsocket" in done.err


@pytest.mark.parametrize(
    "args, says",
    [
        (["listn"], "No such command 'listn'."),
        (["listen"], "Missing argument 'URI'. (see jetsocket listen --help)"),
        (["demo", "--channels", "0"], "Invalid value for '--channels': 0 is not in the range 1<=x<=1000."),
        (
            ["listen", "-H", "odd", "ws://x"],
            "Invalid value for '-H' / '--header': expected NAME:VALUE, got text without a colon",
        ),
        (["demo", "--duration", "nan"], "Invalid value for '--duration': nan is not a finite number."),
        (["listen", "ws://x", "--duration", "inf"], "Invalid value for '--duration': inf is not a finite number."),
        (["listen", "ws://x", "a"], "CHANNEL needs --channel-key: where in a message does the channel's name stand?"),
        (["listen", "ws://x", "--channel-key", "a"], "--channel-key needs at least one CHANNEL"),
        (["replay", __file__, "--speed", "nan"], "Invalid value for '--speed': nan is not a finite number."),
        (["replay", "none.txt"], "Invalid value for 'FILE': File 'none.txt' does not exist."),
    ],
)
def test_wrong_usage_is_one_line(args: list[str], says: str) -> None:
    done = run(*args)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"jetsocket: {says}")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    "args, says",
    [
        (["listen", "http://x"], "scheme must be ws or wss, got 'http'; did you mean ws://x?"),
        (["listen", ""], "the address is empty"),
        (["doctor", "x"], "'x' has no scheme; did you mean wss://x?"),
        (["doctor", "-H", "a b:c", "ws://x"], "the name of a header cannot hold"),
        (["listen", "-H", "a b:c", "ws://x"], "the name of a header cannot hold"),
        (["listen", "-s", "a,b", "ws://x"], "subprotocol"),
        (["doctor", "--proxy", "ftp://x", "ws://x"], "proxy must be an http://"),
        (["listen", "--proxy", "ftp://x", "ws://x", "--channel-key", "a", "b"], "proxy must be an http://"),
        (["listen", "ws://127.0.0.1:1/", "--channel-key", "a..b", "c"], "channel key 'a..b'"),
    ],
)
def test_what_the_library_refuses_is_wrong_usage_too(args: list[str], says: str) -> None:
    done = run(*args)
    assert (done.code, done.out) == (2, "")
    assert says in done.err
    assert done.err.endswith(f" (see jetsocket {args[0]} --help)\n")
    assert done.err.count("\n") == 1


def test_an_error_is_one_line() -> None:
    done = run("listen", "ws://127.0.0.1:1/")
    assert (done.code, done.out) == (1, "")
    assert done.err == "jetsocket: ws://127.0.0.1:1/ refused the connection; is the server running?\n"


def test_an_option_is_read_from_the_environment() -> None:
    done = run("demo", JETSOCKET_CHANNELS="0")
    assert (done.code, done.out) == (2, "")
    assert "0 is not in the range" in done.err


@pytest.mark.parametrize("buffered", [True, False])
def test_a_reader_that_is_gone_already_is_no_failure(buffered: bool) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [*COMMAND, "info"]
    surroundings = environment(PYTHONUNBUFFERED="" if buffered else "1")
    try:
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, env=surroundings, check=False)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")
