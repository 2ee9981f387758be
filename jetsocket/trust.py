"""Which authorities are trusted for wss:// where no `ssl_context` is given: the system's, or those of SSL_CERT_FILE."""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING, NamedTuple

from .protocol import tls_failures

if TYPE_CHECKING:
    from .protocol.uri import Address

# What OpenSSL and `ssl.create_default_context()` look at in the environment.
_ENVIRONMENT = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")


class _Made(NamedTuple):
    environment: tuple[str | None, ...]
    written: int | None
    context: ssl.SSLContext


_made: _Made | None = None


def default_context(address: Address) -> ssl.SSLContext:
    """The context that verifies the server's certificate and name, made once and kept.

    Reading a system's authorities takes 10 ms and more, which a reconnect need not pay for. It is made anew where the
    environment names others, or their file was written again: a process that runs for weeks sees a renewed one.
    ConnectionError, not retried, where SSL_CERT_FILE names a file that cannot be used: OpenSSL would ignore that, and
    then trust nobody. A file that is gone later on, perhaps while it is being replaced, leaves what was read of it.
    """
    global _made
    environment = tuple(os.environ.get(name) for name in _ENVIRONMENT)
    written = _written()
    made = _made
    if made is not None and made.environment == environment and written in (None, made.written):
        return made.context
    context = ssl.create_default_context()
    file = environment[0]
    if file:
        try:
            context.load_verify_locations(file)
        except OSError as error:
            raise tls_failures.trust_unusable(address, "SSL_CERT_FILE", file, error) from error
    _made = _Made(environment, written, context)
    return context


def _written() -> int | None:
    """When the file with the authorities was written, in nanoseconds; None where there is none."""
    paths = ssl.get_default_verify_paths()
    try:
        return os.stat(os.environ.get(paths.openssl_cafile_env) or paths.openssl_cafile).st_mtime_ns
    except OSError:
        return None
