"""TLS of the gRPC port, with certificates that can change while it serves. gRPC takes TLS 1.2 or later, and no less."""

from collections import deque

import grpc

from shared.tls import Certificates, Material


class ServerTls:
    """Credentials for a port. Where a CA for clients is given, who has no certificate of it does not get in."""

    def __init__(self, certificates: Certificates) -> None:
        """Begin with what the files hold."""
        self._certificates = certificates
        self._next: deque[grpc.ServerCertificateConfiguration] = deque(maxlen=1)
        self.credentials = grpc.dynamic_ssl_server_credentials(
            _configuration(certificates.material),
            self._fetch,
            require_client_authentication=certificates.material.authority is not None,
        )

    def _fetch(self) -> grpc.ServerCertificateConfiguration:
        """What gRPC asks for at each handshake, from threads of its own; None says that nothing has changed."""
        return self._next.pop() if self._next else None  # type: ignore[return-value] # its stub knows of no None

    async def refresh(self) -> None:
        """Use what is new in the files from the next handshake on; connections that are open stay."""
        if await self._certificates.refresh():
            self._next.append(_configuration(self._certificates.material))


def _configuration(material: Material) -> grpc.ServerCertificateConfiguration:
    identities = [] if material.identity is None else [material.identity]
    return grpc.ssl_server_certificate_configuration(identities, material.authority)
