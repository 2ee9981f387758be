"""The exact text of every sentence about TLS, and the facts beside it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from jetsocket import errors
from jetsocket.protocol import tls_failures
from jetsocket.protocol.certificate import CertificateFacts
from jetsocket.protocol.uri import parse_uri

PLAIN = parse_uri("ws://user:secret@127.0.0.1:1")
SECURE = parse_uri("wss://user:secret@example.com/x")
NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
CERTIFICATE = CertificateFacts(
    "CN=localhost, O=Venue",
    "CN=Some CA",
    ("localhost", "127.0.0.1"),
    datetime(2025, 1, 1, tzinfo=UTC),
    datetime(2026, 3, 1, 12, tzinfo=UTC),
)


def check(error, text, **facts):
    assert str(error) == text
    for name, value in facts.items():
        assert getattr(error, name) == value, name
    assert "secret" not in repr(vars(error)) + text


@pytest.mark.parametrize(
    "reason, detail, text",
    [
        (None, "", "wss://example.com/x: closed during the TLS handshake; a plain ws:// port?"),
        (
            None,
            "Connection reset by peer",
            "wss://example.com/x: closed during the TLS handshake (Connection reset by peer); a plain ws:// port?",
        ),
        ("WRONG_VERSION_NUMBER", "", "wss://example.com/x: the server does not speak TLS here; try ws://example.com/x"),
        ("RECORD_LAYER_FAILURE", "", "wss://example.com/x: the server does not speak TLS here; try ws://example.com/x"),
        ("NO_PROTOCOLS_AVAILABLE", "", "wss://example.com/x: TLS handshake failed: no protocols available"),
        ("X", "in words", "wss://example.com/x: TLS handshake failed: in words"),
    ],
)
def test_tls(reason, detail, text):
    check(tls_failures.tls_failed(SECURE, 0.1, reason, detail), text, phase="tls", elapsed=0.1)


REFUSED = "wss://example.com/x: the certificate does not verify for 'example.com': "
SELF_SIGNED = (
    REFUSED + "self-signed certificate; it is of"
    " 'CN=localhost, O=Venue', issued by 'CN=Some CA', for localhost, 127.0.0.1, valid 2025-01-01 to 2026-03-01; to"
    " trust it, pass ssl_context=ssl.create_default_context(cafile=…) or set SSL_CERT_FILE"
)


@pytest.mark.parametrize(
    "code, message, certificate, text",
    [
        (18, "self-signed certificate", CERTIFICATE, SELF_SIGNED),
        (
            18,
            "self-signed certificate",
            None,
            (
                REFUSED + "self-signed certificate; to trust"
                " it, pass ssl_context=ssl.create_default_context(cafile=…) or set SSL_CERT_FILE"
            ),
        ),
        (
            62,
            "Hostname mismatch, certificate is not valid for 'example.com'.",
            CERTIFICATE,
            (
                REFUSED + "Hostname mismatch, certificate is"
                " not valid for 'example.com'; it is of 'CN=localhost, O=Venue', issued by 'CN=Some CA', for localhost,"
                " 127.0.0.1, valid 2025-01-01 to 2026-03-01; connect by a name that the certificate is for"
            ),
        ),
        (
            10,
            "certificate has expired",
            CERTIFICATE,
            (
                REFUSED + "certificate has expired; it is of"
                " 'CN=localhost, O=Venue', issued by 'CN=Some CA', for localhost, 127.0.0.1, valid 2025-01-01 to"
                " 2026-03-01; it expired 3 d ago: the server must renew it"
            ),
        ),
        (
            9,
            "certificate is not yet valid",
            None,
            (REFUSED + "certificate is not yet valid; check this machine's clock, which says 2026-03-04 12:00 UTC"),
        ),
    ],
    ids=["self-signed", "unread", "wrong host", "expired", "not yet valid"],
)
def test_certificates(code, message, certificate, text):
    error = tls_failures.certificate_refused(SECURE, 0.1, code, message, certificate, NOW)
    check(error, text, phase="tls", retryable=False)
    assert isinstance(error, errors.CertificateError)


def test_a_certificate_for_nobody():
    certificate = CertificateFacts("", "", (), NOW, NOW)
    error = tls_failures.certificate_refused(SECURE, 0.1, 18, "x", certificate, NOW)
    assert "; it is of 'nobody', issued by 'nobody', for no name at all, valid " in str(error)


def test_tls_that_ends_the_upgrade():
    check(
        tls_failures.tls_ended_upgrade(SECURE, "TLSV13_ALERT_CERTIFICATE_REQUIRED", "x"),
        "wss://example.com/x: the server asks for a certificate of the client's; "
        "pass ssl_context= one with load_cert_chain()",
        phase="upgrade",
        hint="pass ssl_context= one with load_cert_chain()",
    )
    check(
        tls_failures.tls_ended_upgrade(SECURE, "BAD_RECORD_MAC", "bad record mac"),
        "wss://example.com/x closed before the upgrade (TLS: bad record mac)",
        phase="upgrade",
        retryable=True,
    )


def test_certificates_that_cannot_be_read():
    hint = "correct it, or unset it to trust the system's authorities"
    check(
        tls_failures.trust_unusable(SECURE, "SSL_CERT_FILE", "/x.pem", FileNotFoundError(2, "No such file")),
        f"wss://example.com/x: SSL_CERT_FILE is '/x.pem', there is no such file; {hint}",
        phase="tls",
        retryable=False,
        hint=hint,
    )
    check(
        tls_failures.trust_unusable(SECURE, "SSL_CERT_FILE", "/x.pem", PermissionError(13, "Permission denied")),
        f"wss://example.com/x: SSL_CERT_FILE is '/x.pem', which cannot be used: Permission denied; {hint}",
    )


def test_a_context_without_tls():
    error = tls_failures.context_without_tls(PLAIN)
    assert type(error) is ValueError
    assert str(error) == (
        "ssl_context is for wss:// addresses, ws://127.0.0.1:1 is not encrypted; did you mean wss://127.0.0.1:1?"
    )
