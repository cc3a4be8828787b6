"""The files of TLS: what is refused and in which words, and how new ones are taken while they are in use."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from prometheus_client import REGISTRY

from shared import tls
from shared.config import Unusable
from shared.tls import Certificates
from tests.certificates import Identity, Side
from tools.certificates import CA, CERTIFICATE, KEY, Authority

AUTHORITY = Authority.new()


@pytest.fixture
def side(tmp_path: Path) -> Side:
    return Side(tmp_path / "server").put(AUTHORITY.issue("auth"), AUTHORITY)


def usable() -> float | None:
    return REGISTRY.get_sample_value("parley_tls_files_usable", {"side": "server"})


def problem(side: Side) -> str:
    with pytest.raises(Unusable) as refused:
        tls.read(side.files)
    return str(refused.value).replace(f"{side.folder}/", "")


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=["P-256", "P-384", "RSA"],
)
def test_keys_that_grpc_can_use_are_taken(side: Side, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    certificate, pem = AUTHORITY.issue("auth", key=key)
    material = tls.read(side.put((certificate, pem)).files)
    assert material.identity == (pem, certificate)
    assert material.authority == AUTHORITY.certificate
    assert repr(pem.decode()) not in repr(material)


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP521R1()),
        rsa.generate_private_key(65537, 1024),
        Ed25519PrivateKey.generate(),
    ],
    ids=["P-521", "short RSA", "Ed25519"],
)
def test_keys_that_grpc_cannot_use_or_should_not_are_refused(side: Side, key) -> None:
    side.put(AUTHORITY.issue("auth", key=key))
    assert problem(side) == ("tls_key_file key.pem must be an EC key (P-256, P-384) or an RSA key of 2048 bits or more")


def expired() -> Identity:
    return AUTHORITY.issue("auth", begin=timedelta(days=-2), lifetime=timedelta(days=1))


def test_an_expired_certificate_is_refused_and_so_is_one_whose_time_has_not_come(side: Side) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    assert problem(side.put(expired())) == f"tls_certificate_file certificate.pem expired on {yesterday:%Y-%m-%d}"
    side.put(AUTHORITY.issue("auth", begin=timedelta(hours=1)))
    assert problem(side).startswith("tls_certificate_file certificate.pem is not valid before ")


def test_a_chain_is_as_good_as_its_shortest_part_and_a_change_of_cas_as_its_longest(side: Side) -> None:
    certificate, key = AUTHORITY.issue("auth")
    side.put((certificate + expired()[0], key))
    assert "certificate.pem expired on" in problem(side)
    side.put((certificate, key))
    side.write(CA, expired()[0] + AUTHORITY.certificate)
    assert tls.read(side.files).expire_times["tls_client_ca_file"] > datetime.now(UTC) + timedelta(days=3000)
    side.write(CA, expired()[0])
    assert "tls_client_ca_file ca.pem expired on" in problem(side)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        (CERTIFICATE, b"", "tls_certificate_file certificate.pem holds no certificate in PEM"),
        (KEY, b"-----BEGIN PRIVATE KEY-----\nAAAA\n", "tls_key_file key.pem holds no private key in PEM"),
        (KEY, AUTHORITY.key, "tls_key_file key.pem does not belong to the certificate beside it"),
        (CA, b"\xff", "tls_client_ca_file ca.pem holds no certificate in PEM"),
    ],
)
def test_a_file_that_is_something_else_is_refused(side: Side, name: str, content: bytes, sentence: str) -> None:
    side.write(name, content)
    assert problem(side) == sentence


def test_a_key_under_a_passphrase_is_refused(side: Side) -> None:
    certificate, key = AUTHORITY.issue("auth")
    locked = load_pem_private_key(key, None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"phrase")
    )
    assert problem(side.put((certificate, locked))) == (
        "tls_key_file key.pem is encrypted: give the key without a passphrase"
    )


def test_a_file_that_is_not_there_is_named(side: Side) -> None:
    files = side.files
    (side.folder / KEY).unlink()
    with pytest.raises(Unusable, match=r"tls_key_file .*key\.pem cannot be read \(No such file or directory\)"):
        tls.read(files)


async def test_new_files_are_taken_once(side: Side) -> None:
    certificates = Certificates(side.files)
    assert not await certificates.refresh()
    certificate, key = AUTHORITY.issue("auth", lifetime=timedelta(days=7))
    side.put((certificate, key))
    assert await certificates.refresh()
    assert certificates.material.identity == (key, certificate)
    assert not await certificates.refresh()
    expires = REGISTRY.get_sample_value("parley_tls_expire_time_seconds", {"setting": "tls_certificate_file"})
    assert expires == certificates.material.expire_times["tls_certificate_file"].timestamp()


async def test_files_that_cannot_be_used_leave_the_former_ones_in_use_and_are_told_once(
    side: Side, logs: list[structlog.typing.EventDict]
) -> None:
    certificates = Certificates(side.files)
    before = certificates.material
    certificate, key = AUTHORITY.issue("auth")
    side.write(CERTIFICATE, certificate)  # the key is still on its way
    for _ in range(3):
        assert not await certificates.refresh()
    assert certificates.material == before
    assert usable() == 0
    (told,) = [line for line in logs if line["event"] == "certificates cannot be used"]
    assert told["problem"].endswith("key.pem does not belong to the certificate beside it")
    side.write(KEY, key)
    assert await certificates.refresh()
    assert usable() == 1
    side.put(expired())
    assert not await certificates.refresh()
    assert len([line for line in logs if line["event"] == "certificates cannot be used"]) == 2
    assert "PRIVATE KEY" not in str(logs)
