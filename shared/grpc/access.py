"""Who may call what. Each RPC declares its access in the proto; one that does not keeps the server from starting."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from protos.options.v1 import access_pb2
from shared import clock
from shared.calls import Principal
from shared.errors import PermissionDenied, StepUpRequired, Unauthenticated
from shared.grpc.chain import Proceed, ServedCall
from shared.grpc.verifier import Verifier
from shared.identity import SessionKind

STEP_UP_SECONDS: Final = 600
Access: TypeAlias = "access_pb2.Access.ValueType"
_BEARER: Final = "bearer "
_ROLES: Final = {access_pb2.ACCESS_SERVICE: "service", access_pb2.ACCESS_ADMIN: "admin"}
# What every gRPC server offers and what operators decide on elsewhere: health checks and reflection.
_OPEN_SERVICES: Final = ("/grpc.health.v1.Health/", "/grpc.reflection.v1alpha.ServerReflection/")


class UndeclaredAccess(Exception):
    """An RPC does not say in its proto who may call it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodRule:
    """What the proto of a method asks of its caller."""

    public: bool
    internal: bool
    role: str | None
    scope: str
    step_up: bool

    @classmethod
    def of(cls, method: MethodDescriptor, undeclared: Access = access_pb2.ACCESS_UNSPECIFIED) -> "MethodRule":
        """The rule that a method declares; `undeclared` is the access of one whose proto is not ours."""
        options = method.GetOptions().Extensions
        access = options[access_pb2.access] or undeclared
        if access == access_pb2.ACCESS_UNSPECIFIED:
            raise UndeclaredAccess(f"{method.full_name} declares no access")
        return cls(
            public=access == access_pb2.ACCESS_PUBLIC,
            internal=access == access_pb2.ACCESS_SERVICE or options[access_pb2.internal],
            role=_ROLES.get(access),
            scope=options[access_pb2.scope],
            step_up=options[access_pb2.step_up],
        )

    def for_services(self) -> "MethodRule":
        """The same for services alone."""
        return replace(self, public=False, internal=True, role="service")

    def check(self, principal: Principal) -> None:
        """Refuse a caller who may not."""
        if self.role is not None and self.role not in principal.roles:
            raise PermissionDenied(required_role=self.role)
        limited = principal.kind is not SessionKind.SIGN_IN and self.role is None
        if (limited or principal.scopes) and self.scope not in principal.scopes:
            raise PermissionDenied(required_scope=self.scope)
        if self.step_up and not _fresh(principal):
            raise StepUpRequired(max_age_seconds=STEP_UP_SECONDS)


def rules(service: ServiceDescriptor, undeclared: Access = access_pb2.ACCESS_UNSPECIFIED) -> dict[str, MethodRule]:
    """What the proto of a service asks of callers, by the paths of its methods; raises UndeclaredAccess."""
    return {path_of(method): MethodRule.of(method, undeclared) for method in service.methods}


class CheckAccess:
    """The interceptor that lets in whom the proto names, and nobody where it names none."""

    def __init__(self, rules: Mapping[str, MethodRule], verifier: Verifier) -> None:
        """Apply the rule of each method, by its path; one without is nobody's."""
        self._rules, self._verifier = rules, verifier

    async def __call__(self, served: ServedCall, proceed: Proceed) -> None:
        """Find out who calls, and refuse who may not."""
        rule = self._rules.get(served.call.method)
        if rule is None:
            if not served.call.method.startswith(_OPEN_SERVICES):
                raise PermissionDenied
        elif not rule.public:
            served.call.principal = principal = await self._verifier.verify(bearer_token(served.text("authorization")))
            rule.check(principal)
        await proceed()


def path_of(method: MethodDescriptor) -> str:
    """The one path that a method is called by."""
    return f"/{method.containing_service.full_name}/{method.name}"


def open_paths(services: Iterable[ServiceDescriptor]) -> frozenset[str]:
    """The paths that anybody may call, also from outside."""
    rules = {path_of(method): MethodRule.of(method) for service in services for method in service.methods}
    return frozenset(path for path, rule in rules.items() if rule.public and not rule.internal)


def bearer_token(value: str) -> str:
    """The token in the value of an `authorization` header; raises Unauthenticated."""
    if value[: len(_BEARER)].lower() != _BEARER:
        raise Unauthenticated
    return value[len(_BEARER) :]


def _fresh(principal: Principal) -> bool:
    """Whether a person has authenticated in the last minutes."""
    if principal.kind is not SessionKind.SIGN_IN or principal.auth_time is None:
        return False
    return (clock.now() - principal.auth_time).total_seconds() <= STEP_UP_SECONDS
