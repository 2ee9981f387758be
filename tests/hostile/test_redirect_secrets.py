"""What a redirect takes along to another origin: nothing that may be a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

import jetsocket
from jetsocket import WebSocket

from ..certificates import AUTHORITY, server_context
from ..conftest import Serve
from ..peers import Conversation, text
from ..refusals import http
from ..saying import check_says, failure_of
from .attempts import SOON, sending
from .redirecting import noting, receives, to


@pytest.fixture(autouse=True)
def _trusted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A redirect from ws:// is followed with the default context."""
    file = tmp_path / "authority.pem"
    AUTHORITY.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))


SECRETS = {"Authorization": "Bearer s3cret", "Cookie": "session=s3cret", "X-MBX-APIKEY": "s3cret", "Host": "front.test"}
HARMLESS = {"User-Agent": "mine/1", "Origin": "https://here.test"}


def names_in(request: bytes) -> set[str]:
    """Those of SECRETS and HARMLESS whose values are in the request."""
    return {name for name, value in (SECRETS | HARMLESS).items() if f"{name}: {value}\r\n".encode() in request}


async def test_to_the_same_origin_every_header_goes(scripted: Serve) -> None:
    requests: list[bytes] = []
    server = await scripted(to("/x"), noting(requests))
    await receives(server.uri, extra_headers=SECRETS | HARMLESS)
    assert names_in(requests[0]) == SECRETS.keys() | HARMLESS.keys()


@pytest.mark.parametrize("secure", [False, True], ids=["to another port", "to TLS"])
async def test_to_another_origin_no_secret_goes(scripted: Serve, secure: bool) -> None:
    requests: list[bytes] = []
    target = await scripted(noting(requests), ssl=server_context("127.0.0.1") if secure else None)
    server = await scripted(to(target.uri))
    await receives(server.uri, extra_headers=SECRETS | HARMLESS)
    assert names_in(requests[0]) == HARMLESS.keys()
    assert b"s3cret" not in requests[0]
    assert f"\r\nHost: 127.0.0.1:{target.port}\r\n".encode() in requests[0]


async def test_nor_back_from_there(scripted: Serve) -> None:
    """Another server must not say which path of the first one is asked with the user's credentials."""
    requests: list[bytes] = []

    async def back(peer: Conversation) -> None:
        await to(f"{server.uri}back")(peer)

    target = await scripted(back)
    server = await scripted(to(target.uri), noting(requests))
    uri = f"ws://user:s3cret@127.0.0.1:{server.port}/"
    await receives(uri, extra_headers={"X-MBX-APIKEY": "s3cret"})
    assert requests[0].startswith(b"GET /back ")
    assert b"s3cret" not in requests[0]
    assert b"Authorization" not in requests[0]


async def test_the_next_attempt_has_all_headers_again(scripted: Serve) -> None:
    requests: list[bytes] = []

    async def second(peer: Conversation) -> None:
        requests.append(await peer.read_request())
        await peer.send(peer.acceptance() + text("2"))
        await peer.answer_close()

    async def lost(peer: Conversation) -> None:
        await peer.accept(then=text("1"))

    target = await scripted(lost)
    server = await scripted(to(target.uri), second)
    async with WebSocket(server.uri, extra_headers=SECRETS, backoff=jetsocket.BackoffConfig(base=0.0)) as ws:
        assert [await ws.recv(SOON), await ws.recv(SOON)] == [1, 2]
    assert names_in(requests[0]) == SECRETS.keys()


async def test_the_uris_credentials_stay_with_its_origin(scripted: Serve) -> None:
    requests: list[bytes] = []
    target = await scripted(noting(requests))
    server = await scripted(to("/x"), noting(requests), to(target.uri))
    uri = f"ws://user:s3cret@127.0.0.1:{server.port}/"
    await receives(uri)
    assert b"\r\nAuthorization: Basic " in requests[0]
    await receives(uri)
    assert b"Authorization" not in requests[1]


@pytest.mark.parametrize("elsewhere", [False, True], ids=["same origin", "another"])
async def test_credentials_that_a_location_brings_are_not_used(scripted: Serve, elsewhere: bool) -> None:
    requests: list[bytes] = []
    target = await scripted(noting(requests))
    server = await scripted(
        to(f"ws://mallory:pw@127.0.0.1:{target.port}/") if elsewhere else to("/x"), noting(requests)
    )
    await receives(f"ws://user:s3cret@127.0.0.1:{server.port}/")
    assert (b"Authorization: Basic dXNlcjpzM2NyZXQ=" in requests[0]) is not elsewhere
    assert b"bWFsbG9yeTpwdw==" not in requests[0]


async def test_a_locations_credentials_are_in_no_error(scripted: Serve) -> None:
    target = await scripted(sending(http("403 Forbidden")))
    server = await scripted(to(f"ws://mallory:s3cret@127.0.0.1:{target.port}/"))
    error = await failure_of(server.uri)
    check_says(error, f"{target.uri} answered 403 Forbidden (not retried)")
    assert "s3cret" not in repr(vars(error))
