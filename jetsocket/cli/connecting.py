"""The options that `listen` and `doctor` share, and what they mean to the library."""

from __future__ import annotations

import math
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def option(*declarations: str, **attributes: Any) -> Callable[[Command], Command]:
    """A click option that is read from JETSOCKET_<OPTION> too."""
    long = max(declarations, key=len).split("/")[0].lstrip("-")
    attributes.setdefault("envvar", "JETSOCKET_" + long.upper().replace("-", "_"))
    return click.option(*declarations, **attributes)


@contextmanager
def usage() -> Iterator[None]:
    """Around what checks arguments, and does nothing else: what is wrong with them is wrong usage."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise click.UsageError(str(error)) from error


class FiniteRange(click.FloatRange):
    """A number within limits; NaN, which compares with none, and infinity are not."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


class _Header(click.ParamType):  # type: ignore[type-arg]  # it is no generic in click 8.1
    name = "NAME:VALUE"
    # Values hold spaces: in the environment a line stands for a header.
    envvar_list_splitter = "\n"

    def convert(
        self, value: str | tuple[str, str], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, colon, text = value.partition(":")
        if not colon or not name.strip():
            # Not what it is: it may be a secret, with the colon forgotten.
            self.fail("expected NAME:VALUE, got text without a colon" if not colon else "it has no name", param, ctx)
        return name.strip(), text.strip()


_OPTIONS = (
    option("-H", "--header", "headers", type=_Header(), multiple=True, help="Send a header; repeatable."),
    option("-k", "--insecure", is_flag=True, help="Do not verify the server's certificate."),
    option(
        "-s", "--subprotocol", "subprotocols", multiple=True, metavar="NAME", help="Offer a subprotocol; repeatable."
    ),
    option("-o", "--origin", metavar="ORIGIN", help="Send an Origin header."),
    option(
        "--connect-timeout",
        type=FiniteRange(min=0, min_open=True),
        default=10.0,
        show_default=True,
        metavar="SECONDS",
        help="For one attempt, from resolving the name to the answered upgrade.",
    ),
    option("--proxy", metavar="URI", help="Connect through it.  [default: what https_proxy and the like say]"),
    option("-v", "--verbose", count=True, help="Tell what happens, on stderr; twice: everything."),
)


def connection_options(command: Command) -> Command:
    """Adds them; `connection_keywords` takes what they are called with."""
    for add in reversed(_OPTIONS):
        command = add(command)
    return command


def connection_keywords(
    uri: str,
    headers: tuple[tuple[str, str], ...],
    insecure: bool,
    subprotocols: tuple[str, ...],
    origin: str | None,
    connect_timeout: float,
    proxy: str | None,
) -> dict[str, Any]:
    """The keywords of `WebSocket` and `Multiplex` for `uri`."""
    extra = [*headers, *([("Origin", origin)] if origin else [])]
    return {
        "extra_headers": extra or None,
        "subprotocols": subprotocols or None,
        "ssl_context": _unverified() if insecure and uri.lower().startswith("wss:") else None,
        "connect_timeout": connect_timeout,
        "proxy": proxy or True,
        # Ctrl-C must not wait longer than this for a server that does not answer the close frame.
        "close_timeout": 0.5,
    }


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
