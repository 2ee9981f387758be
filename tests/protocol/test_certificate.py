from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from jetsocket.protocol.certificate import read_certificate

NOT_AFTER = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA(organization_name="Some CA", organization_unit_name="unit\x07")


@pytest.fixture(scope="module")
def der(authority):
    certificate = authority.issue_cert(
        "localhost",
        "bücher.example",
        "127.0.0.1",
        "::1",
        common_name="localhost",
        organization_name="Börse",
        not_after=NOT_AFTER,
    )
    return ssl.PEM_cert_to_DER_cert(certificate.cert_chain_pems[0].bytes().decode())


def test_a_certificate(der):
    facts = read_certificate(der)
    assert "CN=localhost" in facts.subject.split(", ")
    assert "O=Börse" in facts.subject.split(", ")
    assert facts.names == ("localhost", "xn--bcher-kva.example", "127.0.0.1", "::1")
    assert facts.not_after == NOT_AFTER
    assert facts.not_before < datetime.now(UTC) + timedelta(days=1)


def test_an_authority_has_no_names(authority):
    facts = read_certificate(ssl.PEM_cert_to_DER_cert(authority.cert_pem.bytes().decode()))
    assert facts.names == ()
    assert facts.subject == facts.issuer
    assert "O=Some CA" in facts.subject
    assert facts.subject.isprintable()


def test_it_agrees_with_openssl(authority, der, tmp_path):
    """What ssl tells of a certificate that it trusts."""
    path = tmp_path / "ca.pem"
    path.write_bytes(authority.cert_pem.bytes())
    (trusted,) = ssl.create_default_context(cafile=str(path)).get_ca_certs()
    facts = read_certificate(ssl.PEM_cert_to_DER_cert(authority.cert_pem.bytes().decode()))
    assert facts.not_before.timestamp() == ssl.cert_time_to_seconds(trusted["notBefore"])
    assert facts.not_after.timestamp() == ssl.cert_time_to_seconds(trusted["notAfter"])


def test_every_truncation_is_refused(der):
    for end in range(len(der)):
        with pytest.raises(ValueError):
            read_certificate(der[:end])


@given(st.data())
def test_damage_is_read_or_refused(der, data):
    damaged = bytearray(der)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    try:
        read_certificate(bytes(damaged))
    except ValueError:
        return


@given(st.binary())
def test_any_bytes_are_refused(data):
    with pytest.raises(ValueError):
        read_certificate(data)
