"""Certificates of a test, in the files where a service finds them, and what one needs to be let in by them."""

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc
from cryptography import x509

from shared.config import PemFile, TlsFiles
from tools.certificates import CA, CERTIFICATE, KEY, Authority

Identity = tuple[bytes, bytes]  # a certificate and its key


@dataclass(frozen=True)
class Side:
    """The folder of one side of connections."""

    folder: Path
    name: str = "server"

    def put(self, identity: Identity | None = None, *believes: Authority) -> "Side":
        """Replace its files: what it shows, and whom it believes."""
        self.folder.mkdir(exist_ok=True)
        if identity is not None:
            for name, content in zip((CERTIFICATE, KEY), identity, strict=True):
                self.write(name, content)
        if believes:
            self.write(CA, b"".join(authority.certificate for authority in believes))
        return self

    def write(self, name: str, content: bytes) -> None:
        (self.folder / f"{name}.new").write_bytes(content)
        (self.folder / f"{name}.new").replace(self.folder / name)

    @property
    def files(self) -> TlsFiles:
        """As the settings of a server, or of a client of auth, name them."""
        prefix, authority = ("tls", "tls_client_ca_file") if self.name == "server" else ("auth", "auth_ca_file")
        return TlsFiles(
            name=self.name,
            certificate=self._file(f"{prefix}_certificate_file", CERTIFICATE),
            key=self._file(f"{prefix}_key_file", KEY),
            authority=self._file(authority, CA),
        )

    def _file(self, setting: str, name: str) -> PemFile | None:
        path = self.folder / name
        return PemFile(setting, path) if path.exists() else None


def credentials(authority: Authority, identity: Identity | None = None) -> grpc.ChannelCredentials:
    """What a client believes, and what it shows."""
    certificate, key = identity or (None, None)
    return grpc.ssl_channel_credentials(authority.certificate, key, certificate)


async def shown_at(port: int) -> x509.Certificate:
    """The certificate that a server shows to whoever asks."""
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    anybody.set_alpn_protocols(["h2"])
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=anybody)
    try:
        return x509.load_der_x509_certificate(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
    finally:
        writer.transport.abort()


def certificate_of(identity: Identity) -> x509.Certificate:
    return x509.load_pem_x509_certificate(identity[0])
