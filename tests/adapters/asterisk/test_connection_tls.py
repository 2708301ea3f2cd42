"""The manager over TLS: a certificate that is trusted, one that is not, and a port that speaks none."""

from __future__ import annotations

import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from adapters.asterisk.config import Tls
from adapters.asterisk.connection import ConnectionEnded, connected
from tests.adapters.asterisk.peer import Manager, config_of, listening


def now_ms() -> int:
    return 0


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate of ``asterisk``, with its key, as ``ast_tls_cert`` makes them."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "asterisk")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("asterisk")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "asterisk.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + secret)
    return path


def server(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def test_a_certificate_that_is_trusted(certificate: Path) -> None:
    async with listening(Manager(), server(certificate)) as manager:
        config = replace(config_of(manager), tls=Tls(ca=str(certificate), name="asterisk"))
        async with connected(config, now_ms):
            assert manager.asked("Login")


@pytest.mark.parametrize("tls", [Tls(), Tls(name="asterisk")])
async def test_one_that_is_not(certificate: Path, tls: Tls) -> None:
    async with listening(Manager(), server(certificate)) as manager:
        with pytest.raises(ConnectionEnded, match="is not trusted") as caught:
            async with connected(replace(config_of(manager), tls=tls), now_ms):
                pass
        assert "tls.ca" in caught.value.remedy
        assert manager.actions == []


async def test_a_port_that_speaks_none() -> None:
    async with listening(Manager()) as manager:
        with pytest.raises(ConnectionEnded, match="does not speak TLS"):
            async with connected(replace(config_of(manager), tls=Tls()), now_ms):
                pass
