"""From an address to an open connection: resolve, connect, TLS, upgrade; each with its time, and its error."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from .errors import ConnectionError, Phase
from .errors import TimeoutError as ConnectTimeoutError
from .hot import FrameDecoder, Sink
from .link import LINGER, Link
from .protocol import failures
from .protocol.connection import Connection
from .protocol.deflate import DeflateOffer
from .protocol.uri import Address, redirected
from .proxying import connect_through, proxy_for

if TYPE_CHECKING:
    from .options import Options
    from .protocol.certificate import CertificateFacts
    from .protocol.handshake import Response, Upgrade

MAX_REDIRECTS = 5
# How long one address of a host may keep the next one waiting (RFC 8305 section 5).
STAGGER = 0.25


class Progress:
    """How far an attempt has come: the present phase, when it began, and what the ones before it took, in seconds."""

    def __init__(self, report: Callable[[Phase, float], None] | None = None) -> None:
        self.phase: Phase = "resolve"
        self.took: dict[Phase, float] = {}
        self._clock = time.monotonic
        self._began = self._clock()
        self._report = report

    def enter(self, phase: Phase) -> None:
        """The present phase is done; `phase` begins."""
        self.took[self.phase] = self.elapsed
        if self._report is not None:
            self._report(self.phase, self.elapsed)
        self.phase = phase
        self._began = self._clock()

    @property
    def elapsed(self) -> float:
        """Seconds since the present phase began."""
        return self._clock() - self._began


class UpgradeProtocol(asyncio.Protocol):
    """Holds the socket from its opening to the answer to the upgrade."""

    def __init__(self, loop: asyncio.AbstractEventLoop, address: Address) -> None:
        self.transport: asyncio.Transport | None = None
        self.early = bytearray()
        self._address = address
        self._answer: asyncio.Future[Response] = loop.create_future()
        self._upgrade: Upgrade | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open, with TLS where there is TLS."""
        # uvloop's transports do not inherit from asyncio's.
        self.transport = cast(asyncio.Transport, transport)

    async def ask(self, upgrade: Upgrade) -> Response:
        """Send the request and wait for the answer."""
        assert self.transport is not None
        self._upgrade = upgrade
        if not self._answer.done():
            self.transport.write(upgrade.request())
            if self.early:
                early, self.early = bytes(self.early), bytearray()
                self.data_received(early)
        return await self._answer

    def data_received(self, data: bytes) -> None:
        """Part of the answer, or what came after it before anyone took the socket over."""
        if self._answer.done() or self._upgrade is None:
            self.early += data
            return
        try:
            response = self._upgrade.receive(data, time.time())
        except ConnectionError as error:
            self._fail(error)
            return
        # A signal's handler may have cancelled who asked, in the middle of this.
        if response is not None and not self._answer.done():
            assert self.transport is not None
            self.transport.pause_reading()
            self._answer.set_result(response)

    def _fail(self, error: ConnectionError) -> None:
        if not self._answer.done():
            self._answer.set_exception(error)
            # Nobody may be waiting any more; then this is no news.
            self._answer.exception()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The server hung up in place of an answer."""
        if self._upgrade is not None and exc is None:
            self._fail(self._upgrade.eof(time.time()))
        else:
            self._fail(failures.closed_before_upgrade(self._address, "" if exc is None else str(exc)))


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
    progress = Progress(report)
    here = address
    try:
        async with asyncio.timeout(options.connect_timeout):
            for _ in range(MAX_REDIRECTS + 1):
                outcome = await _attempt(here, options, sink, count_messages, progress)
                if isinstance(outcome, Link):
                    progress.enter("open")
                    return outcome
                assert outcome.redirect is not None
                here = redirected(here, outcome.redirect)
                progress.enter("resolve")
    except TimeoutError as error:
        if isinstance(error, ConnectTimeoutError):
            raise
        raise failures.connect_timed_out(
            here,
            progress.phase,
            options.connect_timeout,
            progress.elapsed,
            connected_in=progress.took.get("connect") if progress.phase in ("tls", "upgrade") else None,
        ) from None
    raise ConnectionError(
        f"{address} redirects more than {MAX_REDIRECTS} times, last to {here}",
        uri=address.safe,
        phase="upgrade",
        retryable=False,
    )


async def _attempt(
    address: Address, options: Options, sink: Sink, count_messages: Callable[[], int], progress: Progress
) -> Link | Response:
    from .protocol.handshake import Upgrade  # noqa: PLC0415  # with h11, half of what importing jetsocket would cost

    loop = asyncio.get_running_loop()
    # Made first: it checks the headers, which must happen before anything is sent.
    upgrade = Upgrade(
        address,
        key=os.urandom(16),
        extra_headers=options.extra_headers,
        subprotocols=options.subprotocols,
        compression=DeflateOffer() if options.compress else None,
    )
    proxy = proxy_for(address, options.proxy)
    sock = await _reach(address, proxy, progress)
    protocol = UpgradeProtocol(loop, address)
    if address.secure:
        progress.enter("tls")
    await _open_transport(loop, protocol, sock, address, proxy, options, progress)
    transport = protocol.transport
    assert transport is not None
    try:
        progress.enter("upgrade")
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


async def _reach(address: Address, proxy: str | None, progress: Progress) -> socket.socket:
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
        return await _race(loop, _alternating(infos))
    except OSError as error:
        raise failures.connect_failed(address, progress.elapsed, error) from error


def _alternating(infos: Sequence[Any]) -> list[Any]:
    """The families in turn, each in the resolver's order (RFC 8305 section 4)."""
    first = [info for info in infos if info[0] == infos[0][0]]
    others = [info for info in infos if info[0] != infos[0][0]]
    mixed = [info for pair in zip(first, others, strict=False) for info in pair]
    return mixed + first[len(others) :] + others[len(first) :]


async def _race(loop: asyncio.AbstractEventLoop, infos: Sequence[Any]) -> socket.socket:
    """Connect to the first address that answers; one attempt begins when the one before failed, or is slow."""
    running: set[asyncio.Task[socket.socket]] = set()
    waiting = list(infos)
    failed: OSError | None = None
    try:
        while waiting or running:
            if waiting:
                running.add(loop.create_task(_connect_to(loop, waiting.pop(0))))
            done, running = await asyncio.wait(
                running, timeout=STAGGER if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            winner: socket.socket | None = None
            for task in done:
                error = task.exception()
                if error is None and winner is None:
                    winner = task.result()
                elif error is None:
                    task.result().close()
                elif isinstance(error, OSError):
                    failed = failed or error
                else:
                    raise error
            if winner is not None:
                return winner
    finally:
        for task in running:
            task.cancel()
            task.add_done_callback(_discard)
    raise failed or OSError("no address to connect to")


async def _connect_to(loop: asyncio.AbstractEventLoop, info: Any) -> socket.socket:
    family, kind, number, _, target = info
    sock = socket.socket(family, kind, number)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await loop.sock_connect(sock, target)
    except BaseException:
        sock.close()
        raise
    return sock


def _discard(task: asyncio.Task[socket.socket]) -> None:
    """Close the socket of an attempt that came in second."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()


async def _open_transport(
    loop: asyncio.AbstractEventLoop,
    protocol: UpgradeProtocol,
    sock: socket.socket,
    address: Address,
    proxy: str | None,
    options: Options,
    progress: Progress,
) -> None:
    """The transport on a connected socket, with TLS where the address asks for it."""
    secure: dict[str, Any] = {}
    if address.secure:
        context = options.ssl_context or ssl.create_default_context()
        # The attempt as a whole has a limit; asyncio's own would cut it short with a text of its own.
        secure = {
            "ssl": context,
            "server_hostname": address.host,
            "ssl_handshake_timeout": options.connect_timeout + 1,
            "ssl_shutdown_timeout": LINGER,
        }
    try:
        await loop.create_connection(lambda: protocol, sock=sock, **secure)
    except ssl.SSLCertVerificationError as error:
        from datetime import UTC, datetime  # noqa: PLC0415  # for this sentence only

        certificate = await _presented(loop, address, proxy)
        raise failures.certificate_refused(
            address, progress.elapsed, error.verify_code, error.verify_message, certificate, datetime.now(UTC)
        ) from error
    except ssl.SSLError as error:
        raise failures.tls_failed(address, progress.elapsed, error.reason or "", str(error)) from error
    except OSError as error:
        raise failures.tls_failed(address, progress.elapsed, None, str(error)) from error
    except BaseException:
        sock.close()
        raise


async def _presented(loop: asyncio.AbstractEventLoop, address: Address, proxy: str | None) -> CertificateFacts | None:
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
