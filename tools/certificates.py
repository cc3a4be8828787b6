"""`certificates`: a CA, and by it certificates for both services and a client, to develop and for private networks."""

import os
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final

import typer
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from shared import clock
from shared.processes import write_private
from tools.settings import ROOT
from tools.ui import say

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

CA, CERTIFICATE, KEY = "ca.pem", "certificate.pem", "key.pem"
_CA_KEY: Final = "ca-key.pem"
_HOLDERS: Final = ("auth", "chat", "client")
_LOCAL: Final = ("localhost", "127.0.0.1", "::1")
_SKEW: Final = timedelta(hours=1)  # by which the clocks of a network may differ
_CA_LIFETIME, _LIFETIME = timedelta(days=3650), timedelta(days=365)
_EVERYBODY_READS: Final = 0o444  # each container has a user of its own; the folder above is closed


class Authority:
    """A certificate authority, which issues certificates for servers and clients alike."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        """Issue in the name of a certificate, with its key."""
        self._certificate, self._key = certificate, key

    @classmethod
    def new(cls, name: str = "Parley CA") -> "Authority":
        """One that nobody believes yet."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(name, name, key, timedelta(0), _CA_LIFETIME)
        authority = x509.BasicConstraints(ca=True, path_length=0)
        return cls(builder.add_extension(authority, critical=True).sign(key, hashes.SHA256()), key)

    @classmethod
    def load(cls, certificate: bytes, key: bytes) -> "Authority":
        """The one that these files hold."""
        loaded = load_pem_private_key(key, password=None)
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            raise TypeError(type(loaded))
        return cls(x509.load_pem_x509_certificate(certificate), loaded)

    @property
    def certificate(self) -> bytes:
        """What others believe, in PEM."""
        return self._certificate.public_bytes(Encoding.PEM)

    @property
    def key(self) -> bytes:
        """What only the authority has, in PEM."""
        return _pem(self._key)

    def issue(
        self,
        *names: str,
        key: Key | None = None,
        begin: timedelta = timedelta(0),
        lifetime: timedelta = _LIFETIME,
    ) -> tuple[bytes, bytes]:
        """A certificate for host names and addresses, and its key; good from `begin` from now for the lifetime."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        issuer = self._certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        signed = (
            _builder(names[0], str(issuer), key, begin, lifetime)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return signed.public_bytes(Encoding.PEM), _pem(key)


def certificates(
    folder: Annotated[Path | None, typer.Argument(help="Where to put them; .parley-secrets/tls by default.")] = None,
    *,
    host: Annotated[list[str] | None, typer.Option(help="One more name that both services are called by.")] = None,
) -> None:
    """Make a CA, once, and new certificates by it for auth, chat and a client: run it again to renew them."""
    to = folder or Path(os.environ.get("PARLEY_SECRETS_DIR") or ROOT / ".parley-secrets") / "tls"
    write(to, host or ())
    say(f"{to} has {CA}, {CERTIFICATE} and {KEY} for each of {', '.join(_HOLDERS)}; keep {_CA_KEY} to yourself.")


def write(folder: Path, hosts: "list[str] | tuple[str, ...]" = ()) -> None:
    """Make what the command makes."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    ca_key = folder / _CA_KEY
    known = ca_key.exists()
    authority = Authority.load((folder / CA).read_bytes(), ca_key.read_bytes()) if known else Authority.new()
    if not known:
        write_private(folder / CA, authority.certificate.decode())
        write_private(ca_key, authority.key.decode())
    for holder in _HOLDERS:
        (folder / holder).mkdir(exist_ok=True)
        (folder / holder).chmod(0o755)
        certificate, key = authority.issue(holder, *_LOCAL, *hosts)
        for name, content in ((CA, authority.certificate), (CERTIFICATE, certificate), (KEY, key)):
            write_private(folder / holder / name, content.decode())
            (folder / holder / name).chmod(_EVERYBODY_READS)


def settings(folder: Path) -> dict[str, str]:
    """What makes both services use a folder that was written: mutual TLS at auth's port, TLS at chat's."""
    files = {
        "AUTH_TLS_CERTIFICATE_FILE": ("auth", CERTIFICATE),
        "AUTH_TLS_KEY_FILE": ("auth", KEY),
        "AUTH_TLS_CLIENT_CA_FILE": ("auth", CA),
        "CHAT_TLS_CERTIFICATE_FILE": ("chat", CERTIFICATE),
        "CHAT_TLS_KEY_FILE": ("chat", KEY),
        "CHAT_AUTH_CA_FILE": ("chat", CA),
        "CHAT_AUTH_CERTIFICATE_FILE": ("chat", CERTIFICATE),
        "CHAT_AUTH_KEY_FILE": ("chat", KEY),
    }
    return {setting: str(folder / holder / name) for setting, (holder, name) in files.items()}


def _builder(subject: str, issuer: str, key: Key, begin: timedelta, lifetime: timedelta) -> x509.CertificateBuilder:
    start = clock.now() + begin
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - (timedelta(0) if begin else _SKEW))
        .not_valid_after(start + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(key: Key) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
