"""The one factory of gRPC servers: limits, health, reflection and the list of interceptors, in their order."""

import socket
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from grpc.aio import Server
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection

from protos.options.v1 import access_pb2
from shared.config import Unusable
from shared.grpc import access as accesses
from shared.grpc.access import Access, CheckAccess, MethodRule
from shared.grpc.chain import Chain, Interceptor
from shared.grpc.errors import MapErrors
from shared.grpc.observe import Observe
from shared.grpc.verifier import Verifier
from shared.proxies import TrustedProxies

MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024
_MAX_CONCURRENT_STREAMS: Final = 100  # a stock server starves its neighbours under a rapid reset
_MAX_CONCURRENT_CALLS: Final = 2_000
_MINUTE: Final = 60_000
_NO_PROXIES: Final = TrustedProxies(())

_OPTIONS: Final[list[tuple[str, int]]] = [
    ("grpc.max_concurrent_streams", _MAX_CONCURRENT_STREAMS),
    # Counts streams that have ended on the wire until Python has let go of them, and so refuses calls of a client
    # that keeps to the limit: 4 % of them at 300 in flight. A rapid reset is bounded without it (docs/why.md).
    ("grpc.http.overload_protection", 0),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", 4 * MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", 16 * 1024),
    ("grpc.keepalive_time_ms", 2 * _MINUTE),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.max_connection_age_ms", 30 * _MINUTE),
    ("grpc.max_connection_age_grace_ms", 5 * _MINUTE),
    ("grpc.so_reuseport", 0),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A servicer with its descriptor and the generated function that adds it to a server.

    `access` is for a service whose proto is not ours and cannot declare it; `only_for_services` names methods that are
    public by their proto and here need the role of a service.
    """

    descriptor: ServiceDescriptor
    add: Callable[[Server], None]
    access: Access = access_pb2.ACCESS_UNSPECIFIED
    only_for_services: Collection[str] = ()

    @property
    def rules(self) -> dict[str, MethodRule]:
        """Who may call each method, by its path."""
        return {
            path: rule.for_services() if path.rpartition("/")[2] in self.only_for_services else rule
            for path, rule in accesses.rules(self.descriptor, self.access).items()
        }


class GrpcServer:
    """A server that is listening, with the health of each of its services."""

    def __init__(self, server: Server, health: HealthServicer, services: Sequence[str], port: int) -> None:
        """Hold what `listen` has put together."""
        self._server, self._health, self._services = server, health, services
        self.port = port

    async def report(self, *, serving: bool, degraded: Sequence[str] = ()) -> None:
        """Tell health checks how every service stands; `degraded` names the dependencies that are out of reach."""
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", *self._services):
            await self._health.set(name, status)
        down = health_pb2.HealthCheckResponse.NOT_SERVING
        up = health_pb2.HealthCheckResponse.SERVING
        for dependency in ("postgres", "redis"):
            await self._health.set(dependency, down if dependency in degraded else up)

    async def stop(self, grace: float) -> None:
        """Say NOT_SERVING first, let calls in flight finish within the grace (seconds), then close."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace)


async def listen(
    address: str,
    port: int,
    services: Sequence[Service],
    verifier: Verifier,
    *,
    domain: str,
    reflect: bool,
    credentials: grpc.ServerCredentials | None = None,
    proxies: TrustedProxies = _NO_PROXIES,
    more: Sequence[Interceptor] = (),
) -> GrpcServer:
    """Start serving, in plaintext where there are no credentials; port 0 takes a free one.

    `more` interceptors stand inmost. A taken port raises Unusable.
    """
    _require_free(address, port)
    descriptors = [service.descriptor for service in services]
    rules = {path: rule for service in services for path, rule in service.rules.items()}
    interceptors: list[Interceptor] = [Observe(), MapErrors(domain), CheckAccess(rules, verifier), *more]
    server = grpc.aio.server(
        interceptors=[Chain(interceptors, proxies)],
        options=_OPTIONS,
        maximum_concurrent_rpcs=_MAX_CONCURRENT_CALLS,
    )
    for service in services:
        service.add(server)
    health = HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    names = [descriptor.full_name for descriptor in descriptors]
    if reflect:
        health_name = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
        reflection.enable_server_reflection([*names, health_name, reflection.SERVICE_NAME], server)
    at = f"{address}:{port}"
    bound = server.add_insecure_port(at) if credentials is None else server.add_secure_port(at, credentials)
    await server.start()
    return GrpcServer(server, health, names, bound)


def _require_free(address: str, port: int) -> None:
    """Of a taken port gRPC would only say that it failed, in lines of its own."""
    try:
        family = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0][0]
        socket.create_server((address, port), family=family).close()
    except OSError as error:
        raise Unusable.port("port", address, port, error) from None
