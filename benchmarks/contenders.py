"""Who takes part: each a process of its own, on one of the courses."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec

from benchmarks.courses import DEFLATE, LARGE_1M, LARGE_64K, TINY, TLS, TRADES, Course


@dataclass(frozen=True)
class Contender:
    """`slow` ones get a tenth of the messages: the figure is per message, and the wait is long enough.

    `keeps`: how many messages it must hold at the end. "queues" is what bounded queues hold, "all" is every message.
    `needs`: the modules that it imports. `connects`: False for one that is no client and asks nothing of the sender.
    """

    name: str
    title: str
    arguments: tuple[str, ...]
    course: Course = TRADES
    slow: bool = False
    keeps: str = "queues"
    environment: dict[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    python: tuple[int, int] = (3, 11)
    connects: bool = True

    def messages(self, asked: int) -> int:
        asked = self.course.messages(asked)
        return max(asked // 10, 50) if self.slow else asked

    def absence(self) -> str | None:
        """Why it cannot take part here; None where it can."""
        if self.python > sys.version_info:
            return f"needs Python {'.'.join(map(str, self.python))} or later"
        if self.arguments[0] == FLOOR_PROGRAM and compiler() is None:
            return "needs a C compiler"
        for module in self.needs:
            if find_spec(module) is None:
                return f"needs {module}, which is not installed: pip install 'jetsocket[bench]'"
        return None


def compiler() -> str | None:
    """The C compiler, if there is one."""
    return shutil.which(os.environ.get("CC", "cc"))


FLOOR_PROGRAM = "{floor}"
COMPILED = {"JETSOCKET_EXTENSIONS": "require"}
PURE = {"JETSOCKET_EXTENSIONS": "off"}


def peer(module: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", f"benchmarks.peers.{module}", "{uri}", *arguments)


def rival(name: str, title: str, module: str, *arguments: str, needs: Sequence[str], slow: bool = True) -> Contender:
    """Another library's client, on the main course."""
    return Contender(name, title, peer(module, *arguments), slow=slow, needs=("uvloop", *needs))


def jetsocket(name: str, title: str, manner: str, needs: Sequence[str] = (), slow: bool = False) -> Contender:
    """JetSocket's compiled twin, on the main course; `manner` says what becomes of the messages."""
    return Contender(
        name,
        title,
        peer("jetsocket_client", manner),
        keeps="queues" if manner == "kept" else "all",
        environment=COMPILED,
        needs=("uvloop", *needs),
        slow=slow,
    )


def on(course: Course, contender: Contender) -> Contender:
    """The same contender on another course; over TLS it trusts the authority that the contest makes."""
    return Contender(
        f"{course.name}-{contender.name.partition('-')[0]}",
        contender.title,
        contender.arguments,
        course,
        contender.slow,
        contender.keeps,
        contender.environment | ({"SSL_CERT_FILE": "{authority}"} if course.tls else {}),
        contender.needs + (("trustme",) if course.tls else ()),
    )


FLOOR = Contender("floor", "C, receives and splits frames only", (FLOOR_PROGRAM, "{uri}", "100"), keeps="all")
KEPT = jetsocket("jetsocket", "JetSocket, kept in queues", "kept")
PICOWS = rival("picows", "picows listener + `bytes.find` + deques", "picows_client", needs=["picows"], slow=False)
WEBSOCKETS_FIND = rival(
    "websockets-find", "websockets + `bytes.find` + deques", "websockets_client", "find", needs=["websockets"]
)

MAIN = (
    FLOOR,
    KEPT,
    jetsocket("jetsocket-batches", "JetSocket, delivered in batches", "batches"),
    jetsocket("jetsocket-iterated", "JetSocket, delivered by `async for`", "iterated"),
    jetsocket("jetsocket-typed", "JetSocket, delivered as msgspec Structs", "typed", ["msgspec"]),
    jetsocket("jetsocket-dicts", "JetSocket, delivered as dicts", "dicts"),
    jetsocket("jetsocket-orjson", "JetSocket, delivered as dicts, by orjson", "orjson", ["orjson"]),
    jetsocket("jetsocket-json", "JetSocket, delivered as dicts, by json", "json", slow=True),
    Contender(
        "msgspec",
        "no client: msgspec alone, into Structs",
        peer("msgspec_decoder"),
        keeps="all",
        needs=("msgspec", "uvloop"),
        connects=False,
    ),
    PICOWS,
    Contender(
        "jetsocket-pure",
        "JetSocket in pure Python, kept in queues",
        peer("jetsocket_client", "kept"),
        slow=True,
        environment=PURE,
        needs=("uvloop",),
    ),
    rival(
        "picows-websockets",
        "picows.websockets + orjson + deques",
        "picows_websockets_client",
        needs=["picows", "orjson"],
    ),
    Contender(
        "websocket-rs",
        "websocket-rs + orjson + deques",
        peer("websocket_rs_client", "iterated"),
        slow=True,
        needs=("uvloop", "websocket_rs", "orjson"),
        python=(3, 12),
    ),
    Contender(
        "websocket-rs-callback",
        "websocket-rs callback + `bytes.find` + deques",
        peer("websocket_rs_client", "callback"),
        needs=("uvloop", "websocket_rs"),
        python=(3, 12),
    ),
    rival("aiohttp", "aiohttp + orjson + deques", "aiohttp_client", needs=["aiohttp", "orjson"]),
    WEBSOCKETS_FIND,
    rival(
        "websockets-orjson",
        "websockets + orjson + deques",
        "websockets_client",
        "orjson",
        needs=["websockets", "orjson"],
    ),
    rival("websockets-json", "websockets + json + deques", "websockets_client", "json", needs=["websockets"]),
)
# Those that are compared run one after the other.
OTHERS = (
    *(on(course, contender) for course in (TINY, LARGE_64K, LARGE_1M) for contender in (FLOOR, KEPT)),
    *(on(TLS, contender) for contender in (KEPT, PICOWS)),
    *(on(DEFLATE, contender) for contender in (KEPT, WEBSOCKETS_FIND)),
)
CONTENDERS = MAIN + OTHERS
BY_NAME = {contender.name: contender for contender in CONTENDERS}
