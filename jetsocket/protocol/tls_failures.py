"""The sentences about TLS, as `failures` has the others: OpenSSL's words and the address in, the error to raise out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jetsocket.errors import CertificateError, ConnectionError
from jetsocket.protocol.failures import closed_before_upgrade, quoted, with_scheme
from jetsocket.protocol.timing import duration_text
from jetsocket.protocol.uri import Address

if TYPE_CHECKING:
    from datetime import datetime

    from jetsocket.protocol.certificate import CertificateFacts

# OpenSSL's verification codes (x509_vfy.h).
_NOT_YET_VALID, _EXPIRED = 9, 10
_WRONG_NAME = frozenset({62, 63, 64})

# OpenSSL's words for a peer that does not speak TLS at all.
_NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"})


def tls_failed(address: Address, elapsed: float, reason: str | None, detail: str = "") -> ConnectionError:
    """TLS broke. `reason`: SSLError.reason, None when the stream ended or was reset. `detail`: in words."""
    if reason is None:
        hint = "a plain ws:// port?"
        text = f"{address}: closed during the TLS handshake{f' ({quoted(detail)})' if detail else ''}; {hint}"
    elif reason in _NOT_TLS:
        hint = f"try {with_scheme(address, 'ws')}"
        text = f"{address}: the server does not speak TLS here; {hint}"
    else:
        hint = None
        text = f"{address}: TLS handshake failed: {quoted(detail or reason.replace('_', ' ').lower())}"
    return ConnectionError(text, uri=address.safe, phase="tls", elapsed=elapsed, hint=hint)


def tls_ended_upgrade(address: Address, reason: str, detail: str) -> ConnectionError:
    """The handshake was done, as far as the client is concerned, and TLS broke before an answer to the upgrade."""
    if "CERTIFICATE_REQUIRED" in reason:
        # With TLS 1.3 the server says so only after the client has finished.
        hint = "pass ssl_context= one with load_cert_chain()"
        text = f"{address}: the server asks for a certificate of the client's; {hint}"
        return ConnectionError(text, uri=address.safe, phase="upgrade", hint=hint)
    return closed_before_upgrade(address, f"TLS: {detail or reason}")


def trust_unusable(address: Address, variable: str, path: str, error: OSError) -> ConnectionError:
    """The environment's `variable` names certificates that cannot be read."""
    if isinstance(error, FileNotFoundError):
        problem = "there is no such file"
    else:
        problem = f"which cannot be used: {quoted(error.strerror or str(error))}"
    hint = "correct it, or unset it to trust the system's authorities"
    text = f"{address}: {variable} is {path!r}, {problem}; {hint}"
    return ConnectionError(text, uri=address.safe, phase="tls", elapsed=0.0, hint=hint, retryable=False)


def context_without_tls(address: Address) -> ValueError:
    """`ssl_context` was given with a ws:// address."""
    return ValueError(
        f"ssl_context is for wss:// addresses, {address} is not encrypted; did you mean {with_scheme(address, 'wss')}?"
    )


def certificate_refused(
    address: Address,
    elapsed: float,
    verify_code: int,
    verify_message: str,
    certificate: CertificateFacts | None,
    now: datetime,
) -> CertificateError:
    """The certificate does not verify. `verify_code`, `verify_message`: of SSLCertVerificationError."""
    if verify_code in _WRONG_NAME:
        hint = "connect by a name that the certificate is for"
    elif verify_code == _EXPIRED and certificate is not None and now > certificate.not_after:
        ago = duration_text((now - certificate.not_after).total_seconds())
        hint = f"it expired {ago} ago: the server must renew it"
    elif verify_code in (_EXPIRED, _NOT_YET_VALID):
        hint = f"check this machine's clock, which says {now:%Y-%m-%d %H:%M} UTC"
    else:
        hint = "to trust it, pass ssl_context=ssl.create_default_context(cafile=…) or set SSL_CERT_FILE"
    text = f"{address}: the certificate does not verify for {address.host!r}: {quoted(verify_message).rstrip('.')}"
    if certificate is not None:
        names = quoted(", ".join(certificate.names) or "no name at all")
        subject, issuer = (quoted(name) or "nobody" for name in (certificate.subject, certificate.issuer))
        dates = f"{certificate.not_before:%Y-%m-%d} to {certificate.not_after:%Y-%m-%d}"
        text += f"; it is of {subject!r}, issued by {issuer!r}, for {names}, valid {dates}"
    return CertificateError(f"{text}; {hint}", uri=address.safe, phase="tls", elapsed=elapsed, hint=hint)
