"""Who may call what. Each RPC declares its access in the proto; one that does not keeps the server from starting."""

from typing import Final

from google.protobuf.descriptor import ServiceDescriptor

from protos.options.v1 import access_pb2
from shared.calls import Principal
from shared.errors import PermissionDenied, Unauthenticated
from shared.grpc.chain import Proceed, ServedCall
from shared.grpc.verifier import Verifier

_BEARER: Final = "bearer "
_ROLES: Final = {access_pb2.ACCESS_SERVICE: "service", access_pb2.ACCESS_ADMIN: "admin"}
# What every gRPC server offers and what operators decide on elsewhere: health checks and reflection.
_OPEN_SERVICES: Final = ("/grpc.health.v1.Health/", "/grpc.reflection.v1alpha.ServerReflection/")


class UndeclaredAccess(Exception):
    """An RPC does not say in its proto who may call it."""


class CheckAccess:
    """The interceptor that lets in whom the proto names, and nobody where it names none."""

    def __init__(self, services: list[ServiceDescriptor], verifier: Verifier) -> None:
        """Read the access of every RPC of the services."""
        self._verifier = verifier
        self._access = {path: level for service in services for path, level in _declared(service)}

    async def __call__(self, served: ServedCall, proceed: Proceed) -> None:
        """Find out who calls, and refuse who may not."""
        method = served.call.method
        access = self._access.get(method, access_pb2.ACCESS_UNSPECIFIED)
        if access == access_pb2.ACCESS_UNSPECIFIED and not method.startswith(_OPEN_SERVICES):
            raise PermissionDenied
        if access not in (access_pb2.ACCESS_UNSPECIFIED, access_pb2.ACCESS_PUBLIC):
            served.call.principal = principal = await self._verifier.verify(_bearer_token(served))
            _check_role(access, principal)
        await proceed()


def _declared(service: ServiceDescriptor) -> list[tuple[str, access_pb2.Access.ValueType]]:
    levels = [(method, method.GetOptions().Extensions[access_pb2.access]) for method in service.methods]
    for method, level in levels:
        if level == access_pb2.ACCESS_UNSPECIFIED:
            raise UndeclaredAccess(f"{service.full_name}.{method.name} declares no access")
    return [(f"/{service.full_name}/{method.name}", level) for method, level in levels]


def _bearer_token(served: ServedCall) -> str:
    value = served.text("authorization")
    if value[: len(_BEARER)].lower() != _BEARER:
        raise Unauthenticated
    return value[len(_BEARER) :]


def _check_role(access: access_pb2.Access.ValueType, principal: Principal) -> None:
    role = _ROLES.get(access)
    if role is not None and role not in principal.roles:
        raise PermissionDenied(required_role=role)
