"""Secrets to plant, and everything that could tell them: what an error says in any way, what our objects say."""

from __future__ import annotations

import base64
import gc
import logging
import pickle
import sys
import traceback
from collections.abc import Iterator

import pytest

USER, PASSWORD = "pl4nted-user", "pl4nted-p@ss"
USERINFO = "pl4nted-user:pl4nted-p%40ss"
HEADERS = {
    "Cookie": "session=pl4nted-cookie",
    "X-MBX-APIKEY": "pl4nted-key",
    "Proxy-Authorization": "Basic pl4nted-by-hand",
}
PROXY_USERINFO = "pl4nted-proxy-user:pl4nted-proxy-p%40ss"
AUTHORIZATION = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


def signs(*credentials: str) -> list[str]:
    """What an encoded secret looks like, wherever in a text its encoding begins."""
    return [base64.b64encode(one.encode()).decode().rstrip("=")[:-1] for one in credentials]


SIGNS = ["pl4nted", *signs(f"{USER}:{PASSWORD}", "pl4nted-proxy-user:pl4nted-proxy-p@ss")]


def check(words: str) -> None:
    """None of the secrets is in `words`."""
    found = [f"…{words[max(0, words.find(sign) - 80) : words.find(sign) + 40]}…" for sign in SIGNS if sign in words]
    assert not found, found


def planted(uri: str) -> str:
    """`uri` with user information."""
    return uri.replace("://", f"://{USERINFO}@", 1)


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """`error` and all that it came from, also what a traceback does not show."""
    waiting, seen = [error], set()
    while waiting:
        one = waiting.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [one.__cause__, one.__context__]


def words_of(error: BaseException) -> str:
    """The text, repr, attributes and pickle of `error` and of all that it came from, and their tracebacks."""
    words = traceback.format_exception(error)
    for one in chain(error):
        words += [str(one), repr(one), repr(vars(one)), repr(one.args)]
        try:
            words.append(pickle.dumps(one).decode("latin-1"))
        except (pickle.PicklingError, TypeError, AttributeError):
            # Another library's; ours all can be pickled, which is tested elsewhere.
            continue
    return "\n".join(words)


def words_of_objects() -> str:
    """The repr of every object of our classes that is alive."""
    modules = [module for name, module in sys.modules.items() if name.partition(".")[0] == "jetsocket"]
    classes = {one for module in modules for one in vars(module).values() if isinstance(one, type)}
    ours = {one for one in classes if one.__module__.partition(".")[0] == "jetsocket"}
    return "\n".join(_repr(one) for one in gc.get_objects() if type(one) in ours)


def _repr(thing: object) -> str:
    try:
        return repr(thing)
    except AttributeError as error:
        # Its constructor refused the arguments, and a traceback keeps it.
        return str(error)


def logged(caplog: pytest.LogCaptureFixture, level: int = logging.DEBUG) -> str:
    """What was logged from `level` on, by anybody, as a handler writes it: with its tracebacks."""
    formatter = logging.Formatter("%(levelname)s %(name)s %(threadName)s %(message)s")
    return "\n".join(formatter.format(record) for record in caplog.records if record.levelno >= level)
