"""The certificates of one side of connections: read from their files, checked, and read anew while they are in use."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from shared import clock, metrics
from shared.config import PemFile, TlsFiles, Unusable

log = structlog.get_logger()

RELOAD_SECONDS: Final = 5.0
_MIN_RSA_BITS: Final = 2048
_CURVES: Final = (ec.SECP256R1, ec.SECP384R1)  # others, and Ed25519, gRPC would take and then fail every handshake


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What the files hold in PEM, `identity` being the key and its certificate; `expire_times` by setting."""

    identity: tuple[bytes, bytes] | None = field(repr=False)
    authority: bytes | None
    expire_times: dict[str, datetime]


class Certificates:
    """What one side shows and believes; what is put in its files later counts from the next handshake on."""

    def __init__(self, files: TlsFiles) -> None:
        """Read the files; one that cannot be used raises Unusable."""
        self._files = files
        self._problem = ""
        self.material = read(files)
        self._measure()

    async def refresh(self) -> bool:
        """Take what is new in the files, and say whether anything was.

        What cannot be used is logged and measured, and what was there before stays in use.
        """
        try:
            found = await asyncio.to_thread(read, self._files)
        except Unusable as error:
            metrics.tls_files_usable.labels(self._files.name).set(0)
            if self._problem != str(error):
                log.warning("certificates cannot be used", side=self._files.name, problem=str(error))
            self._problem = str(error)
            return False
        self._problem = ""
        renewed, self.material = found != self.material, found
        self._measure()
        if renewed:
            times = {setting: time.isoformat() for setting, time in found.expire_times.items()}
            log.info("certificates renewed", side=self._files.name, **times)
        return renewed

    def _measure(self) -> None:
        metrics.tls_files_usable.labels(self._files.name).set(1)
        for setting, time in self.material.expire_times.items():
            metrics.tls_expire_time.labels(setting).set(time.timestamp())


def read(files: TlsFiles) -> Material:
    """What the files hold now; raises Unusable where it does not fit together or its time has not come or is over."""
    expire_times = {}
    identity = authority = None
    if files.certificate is not None and files.key is not None:
        identity = _content(files.key), _content(files.certificate)
        chain = _parsed(files.certificate, identity[1])
        _check_key(files.key, identity[0], chain[0])
        expire_times[files.certificate.setting] = _check_times(files.certificate, chain)
    if files.authority is not None:
        authority = _content(files.authority)
        # While one CA takes over from another, both are in the file: it is good as long as the better one is.
        best = max(_parsed(files.authority, authority), key=lambda one: one.not_valid_after_utc)
        expire_times[files.authority.setting] = _check_times(files.authority, [best])
    return Material(identity=identity, authority=authority, expire_times=expire_times)


def _content(file: PemFile) -> bytes:
    try:
        return file.path.read_bytes()
    except OSError as error:
        raise Unusable(file.setting, f"{file.path} cannot be read ({error.strerror})") from None


def _parsed(file: PemFile, content: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError:
        raise Unusable(file.setting, f"{file.path} holds no certificate in PEM") from None


def _check_key(file: PemFile, content: bytes, certificate: x509.Certificate) -> None:
    try:
        key = load_pem_private_key(content, password=None)
    except TypeError:
        raise Unusable(file.setting, f"{file.path} is encrypted: give the key without a passphrase") from None
    except (ValueError, UnsupportedAlgorithm):
        raise Unusable(file.setting, f"{file.path} holds no private key in PEM") from None
    strong = isinstance(key, rsa.RSAPrivateKey) and key.key_size >= _MIN_RSA_BITS
    if not strong and not (isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, _CURVES)):
        raise Unusable(file.setting, f"{file.path} must be an EC key (P-256, P-384) or an RSA key of 2048 bits or more")
    shape = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*shape) != certificate.public_key().public_bytes(*shape):
        raise Unusable(file.setting, f"{file.path} does not belong to the certificate beside it")


def _check_times(file: PemFile, chain: list[x509.Certificate]) -> datetime:
    now = clock.now()
    expire_time = min(one.not_valid_after_utc for one in chain)
    if expire_time <= now:
        raise Unusable(file.setting, f"{file.path} expired on {expire_time:%Y-%m-%d}")
    begin = max(one.not_valid_before_utc for one in chain)
    if begin > now:
        raise Unusable(file.setting, f"{file.path} is not valid before {begin:%Y-%m-%d %H:%M} UTC")
    return expire_time
