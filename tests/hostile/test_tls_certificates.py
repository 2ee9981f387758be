"""Certificates that do not verify, and servers that agree to no TLS: told at once, tried again where that may help."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

import jetsocket
from jetsocket import WebSocket

from ..certificates import AUTHORITY, self_signed_context, server_context, trusting
from ..conftest import Serve
from ..peers import Conversation, Script, multiplex, text
from ..saying import check_says
from .attempts import SOON, meet, serve_on, serve_once
from .relaying import ServerTls, by_hand, hang_up, relay, stall

OURS = "it is of '<any>', issued by 'O=A Test Authority<any>'"
TRUST = "to trust it, pass ssl_context=ssl.create_default_context(cafile=…) or set SSL_CERT_FILE"


def of_another_authority() -> ssl.SSLContext:
    """Good but for who vouches for it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA(organization_name="Somebody").issue_cert("127.0.0.1", common_name="127.0.0.1").configure_cert(context)
    return context


BAD: dict[str, tuple[Callable[[Path], ssl.SSLContext], str]] = {
    "expired": (
        lambda _: server_context("127.0.0.1", days=(-30, -2)),
        f"certificate has expired; {OURS}, for 127.0.0.1, valid <any>; it expired 2 d ago: the server must renew it",
    ),
    "not yet valid": (
        lambda _: server_context("127.0.0.1", days=(2, 30)),
        f"certificate is not yet valid; {OURS}, for 127.0.0.1, valid <any>; check this machine's clock, which <any>",
    ),
    "for another host": (
        lambda _: server_context("exchange.test"),
        f"<any>; {OURS}, for exchange.test, valid <any>; connect by a name that the certificate is for",
    ),
    "for another address": (
        lambda _: server_context("127.0.0.2"),
        f"<any>; {OURS}, for 127.0.0.2, valid <any>; connect by a name that the certificate is for",
    ),
    "self-signed": (
        lambda directory: self_signed_context("exchange.test", directory),
        f"self-signed certificate; it is of 'CN=exchange.test', issued by 'CN=exchange.test', for <any>; {TRUST}",
    ),
    "of an unknown authority": (
        lambda _: of_another_authority(),
        f"unable to get local issuer certificate; it is of '<any>', issued by 'O=Somebody<any>', for <any>; {TRUST}",
    ),
}


async def meet_bad(
    scripted: Serve, bad: ssl.SSLContext, looked_at: Script | None = None, **options: Any
) -> tuple[Any, int]:
    """`meet` with a certificate that is `bad`; the error, and how often that server's TLS was got through.

    A client that refuses a certificate looks at it once more, for the error's sentence; `looked_at` is what it finds.
    """
    good = await scripted(serve_once, serve_on, ssl=server_context("127.0.0.1"))
    other = await scripted(serve_on, ssl=bad)
    server = await scripted(relay(good.port), relay(other.port), looked_at or relay(other.port), relay(good.port))
    uri = f"wss://127.0.0.1:{server.port}/"
    error = await meet(server, uri, ssl_context=trusting(), **options)
    assert error.uri == uri
    assert server.accepted == 4
    return error, other.accepted


@pytest.mark.parametrize("what", BAD)
async def test_a_certificate_that_does_not_verify(scripted: Serve, tmp_path: Path, what: str) -> None:
    make, sentence = BAD[what]
    error, _ = await meet_bad(scripted, make(tmp_path))
    assert type(error) is jetsocket.CertificateError
    check_says(error, f"{error.uri}: the certificate does not verify for '127.0.0.1': {sentence}")
    assert (error.phase, error.retryable) == ("tls", False)
    assert isinstance(error.__cause__, ssl.SSLCertVerificationError)


@pytest.mark.parametrize(
    "looked_at",
    [Conversation.ended, lambda peer: peer.send(b"SSH-2.0\r\n"), lambda peer: peer.reader.read(1)],
    ids=["silence", "another protocol", "hung up"],
)
async def test_a_server_that_is_odd_when_its_certificate_is_looked_at(scripted: Serve, looked_at: Script) -> None:
    """What is certain by then is told, with less detail: not that the time was over, which would be tried again."""
    error, _ = await meet_bad(scripted, server_context("exchange.test"), looked_at, connect_timeout=1.0)
    assert type(error) is jetsocket.CertificateError
    check_says(error, f"{error.uri}: the certificate does not verify for '127.0.0.1': <any>; connect by a name <any>")
    assert "it is of" not in str(error)
    assert (error.phase, error.retryable) == ("tls", False)
    assert error.elapsed < 5


@pytest.mark.parametrize("cut", [hang_up, Conversation.reset, stall], ids=["end of stream", "reset", "stall"])
async def test_a_certificate_that_comes_and_nothing_behind_it(scripted: Serve, cut: Callable[..., object]) -> None:
    """A flight that is cut before its end is no certificate that does not verify, with TLS 1.3 at least."""
    good = await scripted(serve_once, serve_on, ssl=server_context("127.0.0.1"))
    other = await scripted(serve_on, ssl=server_context("exchange.test"))
    server = await scripted(relay(good.port), relay(other.port, 600, cut), relay(good.port))
    error = await meet(server, f"wss://127.0.0.1:{server.port}/", ssl_context=trusting(), connect_timeout=1.0)
    assert error.phase == "tls"
    assert error.retryable


# Servers that ask for more, or offer less, than the client has.


def asking_for_a_certificate(version: ssl.TLSVersion) -> ssl.SSLContext:
    """A server's that takes nobody without a certificate of `AUTHORITY`."""
    context = server_context("127.0.0.1")
    context.maximum_version = version
    context.verify_mode = ssl.CERT_REQUIRED
    AUTHORITY.configure_trust(context)
    return context


async def meet_other(scripted: Serve, other: ssl.SSLContext) -> Any:
    """`meet` with a server whose TLS the client cannot get through."""
    good = await scripted(serve_once, serve_on, ssl=server_context("127.0.0.1"))
    server = await scripted(relay(good.port), by_hand(other, ServerTls.read_request), relay(good.port))
    error = await meet(server, f"wss://127.0.0.1:{server.port}/", ssl_context=trusting())
    assert server.accepted == 3
    return error


async def test_a_certificate_of_the_clients_is_asked_for(scripted: Serve) -> None:
    """With TLS 1.3 the server says so when the client is done with the handshake, in place of an answer."""
    error = await meet_other(scripted, asking_for_a_certificate(ssl.TLSVersion.TLSv1_3))
    check_says(
        error,
        f"{error.uri}: the server asks for a certificate of the client's; pass ssl_context= one with load_cert_chain()",
    )
    assert type(error) is jetsocket.ConnectionError
    assert (error.phase, error.retryable) == ("upgrade", True)
    assert isinstance(error.__cause__, ssl.SSLError)


async def test_a_certificate_of_the_clients_is_asked_for_in_the_old_way(scripted: Serve) -> None:
    """TLS 1.2 has no word for it."""
    error = await meet_other(scripted, asking_for_a_certificate(ssl.TLSVersion.TLSv1_2))
    assert type(error) is jetsocket.ConnectionError
    check_says(error, f"{error.uri}: TLS handshake failed: <any>handshake failure<any>")
    assert (error.phase, error.retryable) == ("tls", True)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_certificate_of_the_clients_is_given(scripted: Serve, version: ssl.TLSVersion) -> None:
    server = await scripted(serve_on, ssl=asking_for_a_certificate(version))
    context = trusting()
    AUTHORITY.issue_cert("client@exchange.test").configure_cert(context)
    async with multiplex(server.uri, ssl_context=context) as mux:
        subscription = await mux.subscribe("a")
        assert await subscription.recv(SOON) == {"stream": "a"}


def of_tls_1_1() -> ssl.SSLContext:
    """A server's that knows nothing newer."""
    context = server_context("127.0.0.1")
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


async def test_a_server_of_tls_1_1(scripted: Serve) -> None:
    error = await meet_other(scripted, of_tls_1_1())
    assert type(error) is jetsocket.ConnectionError
    check_says(error, f"{error.uri}: TLS handshake failed: <any>protocol<any>")
    assert (error.phase, error.retryable) == ("tls", True)


async def test_a_server_of_other_ciphers(scripted: Serve) -> None:
    other = server_context("127.0.0.1")
    other.maximum_version = ssl.TLSVersion.TLSv1_2
    # For certificates of another kind than this one.
    other.set_ciphers("ECDHE-RSA-AES256-GCM-SHA384")
    error = await meet_other(scripted, other)
    assert type(error) is jetsocket.ConnectionError
    check_says(error, f"{error.uri}: TLS handshake failed: <any>handshake failure<any>")


async def test_who_trusts_nothing_in_particular_says_so(scripted: Serve) -> None:
    """A context that was made for it does not verify: the user's decision, which nothing here undoes."""

    async def script(peer: Conversation) -> None:
        await peer.accept(then=text("1"))
        await peer.answer_close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    server = await scripted(script, ssl=of_another_authority())
    async with WebSocket(server.uri, ssl_context=context) as ws:
        assert await ws.recv(SOON) == 1
