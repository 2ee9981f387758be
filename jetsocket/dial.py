"""From an address to an open connection: resolve, connect, TLS, upgrade; each with its time, and its error."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .errors import ConnectionError, HandshakeError, JetSocketError, Phase
from .errors import TimeoutError as ConnectTimeoutError
from .hot import FrameDecoder, Sink
from .link import LINGER, Link
from .protocol import failures, tls_failures
from .protocol.connection import Connection
from .protocol.deflate import DeflateOffer
from .protocol.headers import portable
from .protocol.uri import Address, redirected
from .proxying import connect_through, proxy_for
from .racing import connect_to_any
from .trust import default_context

if TYPE_CHECKING:
    from .options import Options
    from .protocol.certificate import CertificateFacts
    from .protocol.handshake import Response
    from .protocol.tunnel import ProxyAddress
    from .upgrading import UpgradeProtocol

MAX_REDIRECTS = 5


class Progress:
    """How far an attempt has come: the present phase, when it began, and what the ones before it took, in seconds.

    `known()` gives the error that is certain already, while more is still being found out about it.
    """

    def __init__(self, report: Callable[[Phase, float], None] | None = None) -> None:
        self.phase: Phase = "resolve"
        self.took: dict[Phase, float] = {}
        # What has ended the attempt, if something has: then running out of time meanwhile is no news.
        self.known: Callable[[], ConnectionError | None] = lambda: None
        self._clock = time.monotonic
        self._began = self._clock()
        self._report = report

    def enter(self, phase: Phase) -> None:
        """The present phase is done; `phase` begins."""
        self.took[self.phase] = self.elapsed
        if self._report is not None:
            self._report(self.phase, self.elapsed)
        self.phase = phase
        self.known = lambda: None
        self._began = self._clock()

    @property
    def elapsed(self) -> float:
        """Seconds since the present phase began."""
        return self._clock() - self._began


async def dial(
    address: Address,
    options: Options,
    sink: Sink,
    count_messages: Callable[[], int],
    report: Callable[[Phase, float], None] | None = None,
) -> Link:
    """Open a connection to `address`, whose messages go to `sink`. `report(phase, seconds)` is told of each phase done.

    Raises ConnectionError and its kinds, or TimeoutError after `connect_timeout` seconds in all.
    """
    _make_ready(address, options)
    progress = Progress(report)
    here = address
    try:
        async with asyncio.timeout(options.connect_timeout):
            redirects = 0
            while True:
                outcome = await _attempt(here, options, sink, count_messages, progress)
                if isinstance(outcome, Link):
                    progress.enter("open")
                    return outcome
                redirects += 1
                there = _follow(here, outcome, progress)
                if redirects > MAX_REDIRECTS:
                    raise failures.redirected_too_often(
                        address, MAX_REDIRECTS, there, progress.elapsed, outcome.status_code, outcome.headers
                    )
                if there.origin != here.origin:
                    options = replace(options, extra_headers=portable(options.headers))
                here = there
                progress.enter("resolve")
    except TimeoutError as error:
        if isinstance(error, ConnectTimeoutError):
            raise
        raise _out_of_time(here, options, progress) from None


def _make_ready(address: Address, options: Options) -> None:
    """What a process reads once, before the clock runs: the time that it takes is no fault of the server's."""
    import_module("jetsocket.protocol.handshake")
    import_module("jetsocket.upgrading")
    if address.secure and options.ssl_context is None:
        default_context(address)


def _follow(here: Address, response: Response, progress: Progress) -> Address:
    """Where `response` leads. HandshakeError where that is not to be followed."""
    assert response.redirect is not None
    try:
        return redirected(here, response.redirect)
    except HandshakeError as error:
        error.status_code, error.headers, error.elapsed = response.status_code, response.headers, progress.elapsed
        raise


def _out_of_time(here: Address, options: Options, progress: Progress) -> JetSocketError:
    error = progress.known()
    if error is None:
        return failures.connect_timed_out(
            here,
            progress.phase,
            options.connect_timeout,
            progress.elapsed,
            connected_in=progress.took.get("connect") if progress.phase in ("tls", "upgrade") else None,
        )
    error.elapsed = progress.elapsed
    return error


async def _attempt(
    address: Address, options: Options, sink: Sink, count_messages: Callable[[], int], progress: Progress
) -> Link | Response:
    # With h11, half of what importing jetsocket would cost.
    from .protocol.handshake import Upgrade  # noqa: PLC0415
    from .upgrading import UpgradeProtocol  # noqa: PLC0415

    loop = asyncio.get_running_loop()
    # Made first: it checks the headers, which must happen before anything is sent.
    upgrade = Upgrade(
        address,
        key=os.urandom(16),
        extra_headers=options.headers,
        subprotocols=options.subprotocols,
        compression=DeflateOffer() if options.compress else None,
    )
    # So is this: it may have to read files, of which one may be missing.
    context = (options.ssl_context or default_context(address)) if address.secure else None
    proxy = proxy_for(address, options.proxy)
    sock = await _reach(address, proxy, progress)
    protocol = UpgradeProtocol(loop, address)
    if address.secure:
        progress.enter("tls")
    await _open_transport(loop, protocol, sock, address, proxy, context, options.connect_timeout, progress)
    transport = protocol.transport
    assert transport is not None
    try:
        progress.enter("upgrade")
        progress.known = protocol.refusal
        try:
            response = await protocol.ask(upgrade)
        except ConnectionError as error:
            error.elapsed = progress.elapsed
            raise
        if response.accepted:
            return _open_link(address, options, sink, count_messages, transport, response, bytes(protocol.early))
    except BaseException:
        transport.abort()
        raise
    transport.abort()
    return response


def _open_link(
    address: Address,
    options: Options,
    sink: Sink,
    count_messages: Callable[[], int],
    transport: asyncio.Transport,
    response: Response,
    early: bytes,
) -> Link:
    inflate = deflater = None
    if response.deflate is not None:
        inflate = response.deflate.inflater().inflate
        deflater = response.deflate.deflater()
    decoder = FrameDecoder(sink, max_message_size=options.max_message_size, inflate=inflate)
    connection = Connection(
        decoder, deflater=deflater, compression_threshold=options.compression_threshold, faults_apart=True
    )
    link = Link(
        address,
        connection,
        transport,
        subprotocol=response.subprotocol,
        headers=response.headers,
        max_message_size=options.max_message_size,
        count_messages=count_messages,
        loop=asyncio.get_running_loop(),
    )
    transport.set_protocol(link)
    if response.trailing or early:
        link.feed(response.trailing + early)
    if not decoder.blocked and not transport.is_closing():
        transport.resume_reading()
    return link


async def _reach(address: Address, proxy: ProxyAddress | None, progress: Progress) -> socket.socket:
    """A socket that is connected to `address`, by way of the proxy if there is one."""
    if proxy is None:
        return await _connect(address, progress)
    progress.enter("proxy")
    return await connect_through(proxy, address, progress)


async def _connect(address: Address, progress: Progress) -> socket.socket:
    loop = asyncio.get_running_loop()
    try:
        infos = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        cause = error if isinstance(error, OSError) else OSError(str(error))
        raise failures.connect_failed(address, progress.elapsed, cause, "resolve") from error
    progress.enter("connect")
    try:
        return await connect_to_any(infos)
    except OSError as error:
        raise failures.connect_failed(address, progress.elapsed, error) from error


async def _open_transport(
    loop: asyncio.AbstractEventLoop,
    protocol: UpgradeProtocol,
    sock: socket.socket,
    address: Address,
    proxy: ProxyAddress | None,
    context: ssl.SSLContext | None,
    timeout: float,
    progress: Progress,
) -> None:
    """The transport on a connected socket, with TLS where there is a `context` for it."""
    secure: dict[str, Any] = {}
    if context is not None:
        # The attempt as a whole has a limit; asyncio's own would cut it short with a text of its own.
        secure = {
            "ssl": context,
            "server_hostname": address.host,
            "ssl_handshake_timeout": timeout + 1,
            "ssl_shutdown_timeout": LINGER,
        }
    try:
        await loop.create_connection(lambda: protocol, sock=sock, **secure)
    except ssl.SSLCertVerificationError as error:
        from datetime import UTC, datetime  # noqa: PLC0415  # for this sentence only

        facts = address, progress.elapsed, error.verify_code, error.verify_message
        progress.known = lambda: tls_failures.certificate_refused(*facts, None, datetime.now(UTC))
        certificate = await _presented(loop, address, proxy)
        raise tls_failures.certificate_refused(*facts, certificate, datetime.now(UTC)) from error
    except ssl.SSLError as error:
        raise tls_failures.tls_failed(address, progress.elapsed, error.reason or "", str(error)) from error
    except OSError as error:
        raise tls_failures.tls_failed(address, progress.elapsed, None, str(error)) from error
    except BaseException:
        sock.close()
        raise


async def _presented(
    loop: asyncio.AbstractEventLoop, address: Address, proxy: ProxyAddress | None
) -> CertificateFacts | None:
    """The certificate that the server shows, for the error's sentence only: nothing is sent to it."""
    from .protocol.certificate import read_certificate  # noqa: PLC0415  # for an error's sentence only

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(1.0):
            sock = await _reach(address, proxy, Progress())
            transport, _ = await loop.create_connection(
                asyncio.Protocol, sock=sock, ssl=context, server_hostname=address.host
            )
    except (OSError, ValueError):
        return None
    try:
        shown = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return read_certificate(shown) if shown else None
    except ValueError:
        return None
    finally:
        transport.abort()
