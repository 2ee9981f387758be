"""Which test files are a module's own: those of its name, or what stands here with the reason."""

from __future__ import annotations

from pathlib import Path

PACKAGE = "jetsocket"
ROOM = "jetsocket/hot"
CONFORMANCE = "tests/conformance"
# A header is a part of the room that includes it.
HEADERS = {
    "arena": "ring",
    "awaiting": "stream",
    "batching": "stream",
    "breaks": "watch",
    "fragments": "frames",
    "frame_head": "frames",
    "gate": "ring",
    "group": "group",
    "hash": "router",
    "json_text": "keys",
    "keys": "keys",
    "keys_template": "keys",
    "latest": "latest",
    "latest_table": "latest",
    "losses": "ring",
    "mask": "frames",
    "ring": "ring",
    "router": "router",
    "router_table": "router",
    "scan": "keys",
    "scan_skip": "keys",
    "sequence": "watch",
    "sink": "ring",
    "utf8": "frames",
    "utf8_wide": "frames",
    "waiting": "waiting",
    "watch": "watch",
}
# Modules whose tests have another name, or which have more of them: which, and why.
FURTHER: dict[str, tuple[tuple[str, ...], str]] = {
    "jetsocket/__init__.py": (("tests/test_docs.py",), "it names what others define"),
    "jetsocket/attempts.py": (
        ("tests/test_reconnect.py", "tests/test_target.py", "tests/test_greeting*.py"),
        "attempts follow a loss; what one asks for, and its greeting, are steps of it",
    ),
    "jetsocket/batches.py": (("tests/test_reconciler.py", "tests/test_subscribing_*.py"), "what is asked for shows it"),
    "jetsocket/channel.py": (("tests/test_standing.py", "tests/test_reconciler.py"), "what becomes of it shows it"),
    "jetsocket/version.py": (("tests/test_docs.py",), "it is a constant"),
    "jetsocket/cli/interrupt.py": (("tests/cli/test_listen.py",), "Ctrl-C, typed on a command"),
    "jetsocket/cli/terminal.py": (("tests/cli/test_listen.py",), "what a command writes, read by a process"),
    "jetsocket/dial.py": (
        (
            "tests/test_tls.py",
            "tests/test_proxying.py",
            "tests/test_racing.py",
            "tests/test_error_texts.py",
            "tests/hostile/test_*handshake*.py",
        ),
        "addresses, TLS and proxies are steps of it, and each kind of bad answer has a file",
    ),
    "jetsocket/heartbeat.py": (("tests/test_link*.py", "tests/test_outgoing.py"), "pings, and the pace that they keep"),
    "jetsocket/hot/gate.h": (("tests/conformance/test_threads.py",), "what it keeps out are threads"),
    "jetsocket/hot/router_c.pyx": (("tests/conformance/test_watch*.py",), "a watch shows only in what its router does"),
    "jetsocket/hot/router_py.py": (("tests/conformance/test_watch*.py",), "as above"),
    "jetsocket/hot/taking_c.pyx": (("tests/conformance/test_stream*.py",), "it is what streams have below their face"),
    "jetsocket/hot/taking_py.py": (("tests/conformance/test_stream*.py",), "as above"),
    "jetsocket/testing/governing.py": (
        ("tests/testing/test_exchange.py", "tests/testing/test_faults.py", "tests/testing/dialects/test_exchange.py"),
        "the exchanges are what it is a part of",
    ),
    "jetsocket/link.py": (
        (
            "tests/test_heartbeat.py",
            "tests/test_reading.py",
            "tests/test_cancellation.py",
            "tests/test_websocket.py",
            "tests/hostile/test_open_*.py",
            "tests/hostile/test_tls_*.py",
        ),
        "the heartbeat is the link's, as is stopping to read, and what becomes of each fault on an open connection",
    ),
    "jetsocket/multiplex.py": (
        ("tests/test_registry.py", "tests/test_subscribing.py", "tests/test_unrouted.py", "tests/test_watching.py"),
        "it is the face of these",
    ),
    "jetsocket/protocol/failures.py": (
        ("tests/test_error_texts*.py", "tests/test_reconnect.py"),
        "its sentences, as a user meets them",
    ),
    "jetsocket/registry.py": (("tests/test_multiplex.py",), "it does what a multiplex is asked for"),
    "jetsocket/reporting.py": (("tests/test_secrets.py",), "that it tells no secret is what it is for"),
    "jetsocket/session.py": (
        (
            "tests/test_attempts.py",
            "tests/test_reconnect.py",
            "tests/test_heartbeat.py",
            "tests/test_cancellation.py",
            "tests/test_connectivity.py",
            "tests/test_websocket.py",
            "tests/hostile/test_open_*.py",
        ),
        "the life of a connection, by subject",
    ),
    "jetsocket/connectivity.py": (
        (
            "tests/test_client.py",
            "tests/test_heartbeat.py",
            "tests/test_link.py",
            "tests/test_multiplex.py",
            "tests/test_cancellation.py",
            "tests/test_outgoing.py",
            "tests/test_session.py",
        ),
        "who moves it, and what waits on it: pings, sends, subscribing",
    ),
    "jetsocket/testing/__init__.py": (("tests/testing/test_missing_extra.py",), "it checks that picows is there"),
    "jetsocket/testing/__main__.py": (("tests/testing/test_process.py",), "it is the other end of that pipe"),
    "jetsocket/testing/account.py": (("tests/testing/test_process.py",), "an account goes through that pipe"),
    "jetsocket/testing/exchange.py": (
        ("tests/testing/test_faults.py", "tests/testing/test_feed.py"),
        "it governs both: the faults on command, and the feeds",
    ),
    "jetsocket/trust.py": (("tests/test_tls.py",), "whom a connection trusts"),
    "jetsocket/strays.py": (
        ("tests/test_heartbeat.py", "tests/test_unrouted.py"),
        "a pong_matcher that raises, and the queue of what is left",
    ),
    "jetsocket/upgrading.py": (
        ("tests/test_dial.py", "tests/test_tls.py", "tests/hostile/test_*handshake*.py"),
        "each kind of bad answer has a file",
    ),
    "jetsocket/websocket.py": (("tests/test_heartbeat.py",), "pongs among the messages"),
    "jetsocket/wiring.py": (
        (
            "tests/test_heartbeat.py",
            "tests/test_multiplex.py",
            "tests/test_overflow.py",
            "tests/test_watching.py",
            "tests/test_unrouted.py",
        ),
        "what is connected there shows in what it then does together",
    ),
}


def modules(project: Path) -> list[str]:
    """The package's modules and headers, as paths from the project's folder."""
    found = [
        path.relative_to(project).as_posix()
        for path in sorted((project / PACKAGE).rglob("*"))
        if path.suffix in (".py", ".pyx", ".h")
    ]
    return [module for module in found if not _is_empty(project / module)]


def _is_empty(path: Path) -> bool:
    return not path.read_text(encoding="utf-8").strip()


def room_of(module: str) -> str | None:
    """The room of jetsocket/hot that a module or header belongs to; None where tests/conformance is not about it."""
    path = Path(module)
    if path.parent.as_posix() != ROOM:
        return None
    if path.suffix == ".h":
        return HEADERS[path.stem]
    # `keys_scan_py` is the second file of the room `keys`.
    return path.stem.split("_")[0] if path.stem.endswith(("_c", "_py")) else None


def own_patterns(module: str) -> tuple[str, ...]:
    """Patterns of the names of a module's own test files."""
    path = Path(module)
    folder, name = path.parent.as_posix().replace(PACKAGE, "tests", 1), room_of(module)
    if name is None:
        # `__init__` and `__main__` have their tests without the underscores.
        name = path.stem.strip("_")
    else:
        folder = CONFORMANCE
    further = FURTHER[module][0] if module in FURTHER else ()
    return f"{folder}/test_{name}.py", f"{folder}/test_{name}_*.py", *further


def own_tests(module: str, project: Path) -> list[str]:
    """A module's own test files, as paths from the project's folder."""
    found = {file for pattern in own_patterns(module) for file in project.glob(pattern)}
    return sorted(file.relative_to(project).as_posix() for file in found)


def module_named(name: str, project: Path) -> str:
    """The module that a user calls `websocket`, `hot/ring_c` or `jetsocket/hot/ring_c.pyx`."""
    plain = name.removeprefix(PACKAGE + "/")
    found = [
        module for module in modules(project) if plain in (short := module.removeprefix(PACKAGE + "/"), _stem(short))
    ]
    if not found:
        raise SystemExit(f"there is no module {name!r}")
    return found[0]


def _stem(path: str) -> str:
    return path.rpartition(".")[0]
