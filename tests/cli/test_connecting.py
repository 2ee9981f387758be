from __future__ import annotations

import ssl
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from jetsocket.cli.connecting import connection_keywords, connection_options

URI = "wss://127.0.0.1/"


def called(*args: str, uri: str = URI, **environment: str) -> tuple[Result, dict[str, Any]]:
    """A command with these options: how it ended, and the keywords that they come to."""
    keywords: dict[str, Any] = {}

    @click.command()
    @connection_options
    def command(verbose: int, **options: Any) -> None:
        keywords.update(connection_keywords(uri, **options), verbose=verbose)

    return CliRunner().invoke(command, args, env=environment), keywords


def test_what_is_not_said_is_left_to_the_library() -> None:
    assert called()[1] == {
        "extra_headers": None,
        "subprotocols": None,
        "ssl_context": None,
        "connect_timeout": 10.0,
        "proxy": True,
        "close_timeout": 0.5,
        "verbose": 0,
    }


def test_headers_come_in_their_order_and_the_origin_last() -> None:
    _, keywords = called("-o", "https://here", "-H", "X-Key: a:b ", "--header", "x-empty:", "-vv")
    assert keywords["extra_headers"] == [("X-Key", "a:b"), ("x-empty", ""), ("Origin", "https://here")]
    assert keywords["verbose"] == 2


def test_in_the_environment_a_line_stands_for_a_header() -> None:
    _, keywords = called(JETSOCKET_HEADER="X-One: a b\nX-Two: c", JETSOCKET_PROXY="http://127.0.0.1:3128")
    assert keywords["extra_headers"] == [("X-One", "a b"), ("X-Two", "c")]
    assert keywords["proxy"] == "http://127.0.0.1:3128"


@pytest.mark.parametrize(
    "args, says",
    [
        (["-H", "Authorization secret"], "expected NAME:VALUE, got text without a colon"),
        (["-H", " : secret"], "it has no name"),
        (["--connect-timeout", "nan"], "nan is not a finite number."),
        (["--connect-timeout", "inf"], "inf is not a finite number."),
        (["--connect-timeout", "0"], "0.0 is not in the range x>0."),
    ],
)
def test_what_cannot_be_right_is_refused_without_a_secret(args: list[str], says: str) -> None:
    result, keywords = called(*args)
    assert (result.exit_code, keywords) == (2, {})
    assert says in result.output
    assert "secret" not in result.output


def test_insecure_trusts_every_certificate_and_matters_to_tls_alone() -> None:
    context = called("-k")[1]["ssl_context"]
    assert isinstance(context, ssl.SSLContext)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)
    assert called("-k", uri="ws://127.0.0.1/")[1]["ssl_context"] is None
