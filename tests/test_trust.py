"""Which authorities the default trusts, and that they are read once."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

import jetsocket
from jetsocket import Multiplex, WebSocket
from jetsocket.protocol.uri import parse_uri
from jetsocket.trust import default_context

from .certificates import AUTHORITY, server_context, trusting
from .conftest import Serve
from .peers import AT_ONCE, Conversation, text
from .refusals import mute
from .saying import check_says, failure_of

ADDRESS = parse_uri("wss://exchange.test/")


@pytest.fixture
def authorities(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The file of SSL_CERT_FILE, with `AUTHORITY` in it."""
    file = tmp_path / "authorities.pem"
    AUTHORITY.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    return file


async def open_up(peer: Conversation) -> None:
    await peer.accept(then=text("1"))
    await peer.answer_close()


def test_the_default_is_made_once(authorities: Path):
    assert default_context(ADDRESS) is default_context(parse_uri("wss://other.test:444/x"))


def test_the_default_verifies(authorities: Path):
    context = default_context(ADDRESS)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_another_environment_makes_another(
    authorities: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
):
    before = default_context(ADDRESS)
    other = tmp_path / "other.pem"
    AUTHORITY.cert_pem.write_to_path(str(other))
    monkeypatch.setenv(variable, str(tmp_path if variable == "SSL_CERT_DIR" else other))
    assert default_context(ADDRESS) is not before
    assert default_context(ADDRESS) is default_context(ADDRESS)


def test_a_file_that_is_written_again_is_read_again(authorities: Path):
    before = default_context(ADDRESS)
    subject = before.get_ca_certs()[0]["subject"]
    trustme.CA(organization_name="The next one").cert_pem.write_to_path(str(authorities))
    os.utime(authorities, ns=(1, 1))
    after = default_context(ADDRESS)
    assert after is not before
    assert after.get_ca_certs()[0]["subject"] != subject


def test_a_file_that_is_gone_for_a_while_leaves_what_was_read(authorities: Path):
    before = default_context(ADDRESS)
    authorities.unlink()
    assert default_context(ADDRESS) is before


async def test_a_change_is_honoured_by_the_next_connection(
    scripted: Serve, authorities: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    server = await scripted(open_up, ssl=server_context("127.0.0.1"))
    async with WebSocket(server.uri) as ws:
        assert await ws.recv(5) == 1
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    monkeypatch.setenv("SSL_CERT_FILE", str(other))
    assert isinstance(await failure_of(server.uri), jetsocket.CertificateError)
    monkeypatch.setenv("SSL_CERT_FILE", str(authorities))
    async with WebSocket(server.uri) as ws:
        assert await ws.recv(5) == 1


@pytest.mark.parametrize(
    "write, problem",
    [
        (lambda _: None, "there is no such file"),
        (lambda file: file.write_text("hello"), "which cannot be used: <any>"),
        (lambda file: file.write_bytes(b""), "which cannot be used: <any>"),
        (lambda file: file.mkdir(), "which cannot be used: <any>"),
    ],
    ids=["missing", "text", "empty", "a folder"],
)
async def test_a_file_that_cannot_be_used(
    scripted: Serve,
    authorities: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    write: Callable[[Path], object],
    problem: str,
):
    """OpenSSL passes over it, and then no certificate verifies: who set the variable would look for the fault there."""
    default_context(ADDRESS)
    file = tmp_path / "unusable.pem"
    write(file)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    server = await scripted(mute, ssl=server_context("127.0.0.1"))
    error = await failure_of(server.uri, backoff=AT_ONCE)
    hint = "correct it, or unset it to trust the system's authorities"
    check_says(error, f"{server.uri}: SSL_CERT_FILE is '{file}', {problem}; {hint}")
    assert type(error) is jetsocket.ConnectionError
    assert (error.phase, error.retryable, error.hint) == ("tls", False, hint)
    assert isinstance(error.__cause__, OSError)
    assert server.accepted == 0


async def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SSL_CERT_FILE", "")
    assert default_context(ADDRESS).verify_mode is ssl.CERT_REQUIRED


async def test_who_brings_a_context_needs_no_file(scripted: Serve, monkeypatch: pytest.MonkeyPatch):
    context = trusting()
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such/file.pem")
    server = await scripted(open_up, ssl=server_context("127.0.0.1"))
    async with WebSocket(server.uri, ssl_context=context) as ws:
        assert await ws.recv(5) == 1


async def test_a_plain_connection_needs_no_file(scripted: Serve, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such/file.pem")
    server = await scripted(open_up)
    async with WebSocket(server.uri) as ws:
        assert await ws.recv(5) == 1


@pytest.mark.parametrize(
    "make",
    [WebSocket, lambda uri, **options: Multiplex(uri, channel_key="stream", **options), jetsocket.connect],
    ids=["WebSocket", "Multiplex", "connect"],
)
def test_a_context_for_an_address_without_tls(make: Callable[..., object]):
    """Who gives one believes to be safe."""
    with pytest.raises(ValueError) as caught:
        make("ws://user:secret@127.0.0.1:1/feed", ssl_context=trusting())
    assert str(caught.value) == (
        "ssl_context is for wss:// addresses, ws://127.0.0.1:1/feed is not encrypted; "
        "did you mean wss://127.0.0.1:1/feed?"
    )
    assert not isinstance(caught.value, jetsocket.JetSocketError)
