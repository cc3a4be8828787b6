"""Who may call what. Each RPC declares its access in the proto; one that does not keeps the server from starting."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from protos.options.v1 import access_pb2
from shared import clock
from shared.calls import Principal
from shared.errors import PermissionDenied, StepUpRequired, Unauthenticated, Unavailable
from shared.grpc.chain import Proceed, ServedCall
from shared.grpc.verifier import Verifier
from shared.identity import SessionKind

STEP_UP_SECONDS: Final = 600
# How often the caller of a stream is checked again, and for how long nobody needs to be able to tell.
LOOK_SECONDS: Final = 2.0
DOUBT_SECONDS: Final = 10.0
Access: TypeAlias = "access_pb2.Access.ValueType"
_BEARER: Final = "bearer "
_ROLES: Final = {access_pb2.ACCESS_SERVICE: "service", access_pb2.ACCESS_ADMIN: "admin"}
# What every gRPC server offers and what operators decide on elsewhere: health checks and reflection.
_OPEN_SERVICES: Final = ("/grpc.health.v1.Health/", "/grpc.reflection.v1alpha.ServerReflection/")


class UndeclaredAccess(Exception):
    """An RPC does not say in its proto who may call it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodRule:
    """What the proto of a method asks of its caller; as it stands, to be a user."""

    public: bool = False
    internal: bool = False
    role: str | None = None
    scope: str = ""
    step_up: bool = False
    lasting: bool = False

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
            lasting=options[access_pb2.lasting],
        )

    def for_services(self) -> "MethodRule":
        """The same for services alone."""
        return replace(self, public=False, internal=True, role="service")

    def check(self, principal: Principal) -> None:
        """Refuse a caller who may not."""
        if self.role is not None and self.role not in principal.roles:
            raise PermissionDenied(required_role=self.role)
        if self._limits(principal) and self.scope not in principal.scopes:
            raise PermissionDenied(required_scope=self.scope)
        if self.step_up and not _fresh(principal):
            raise StepUpRequired(max_age_seconds=STEP_UP_SECONDS)

    def _limits(self, principal: Principal) -> bool:
        """Whether the caller needs the method's scope. A machine without any scope may do what its role opens."""
        machine = principal.kind is not SessionKind.SIGN_IN or principal.actor_id is not None
        return bool(principal.scopes) or (machine and self.role is None)


ANYBODY: Final = MethodRule(public=True)
EVERY_USER: Final = MethodRule()


def rules(service: ServiceDescriptor, undeclared: Access = access_pb2.ACCESS_UNSPECIFIED) -> dict[str, MethodRule]:
    """What the proto of a service asks of callers, by the paths of its methods; raises UndeclaredAccess."""
    return {path_of(method): MethodRule.of(method, undeclared) for method in service.methods}


def declared(service: ServiceDescriptor) -> dict[str, MethodRule]:
    """The rules of those methods that declare one."""
    return {
        path_of(method): MethodRule.of(method)
        for method in service.methods
        if method.GetOptions().Extensions[access_pb2.access] != access_pb2.ACCESS_UNSPECIFIED
    }


class CheckAccess:
    """The interceptor that lets in whom the proto names, and nobody where it names none."""

    def __init__(
        self, rules: Mapping[str, MethodRule], verifier: Verifier, undeclared: MethodRule | None = None
    ) -> None:
        """Apply the rule of each method, by its path; without `undeclared` a method without a rule is nobody's."""
        self._rules, self._verifier, self._undeclared = rules, verifier, undeclared

    async def __call__(self, served: ServedCall, proceed: Proceed) -> None:
        """Find out who calls, and refuse who may not."""
        rule = self._rules.get(served.call.method) or self._rule_of_undeclared(served.call.method)
        if rule.public:
            served.call.presented_token = _presented(served.text("authorization"))
        else:
            token = bearer_token(served.text("authorization"))
            served.call.principal = principal = await self._verifier.verify(token)
            rule.check(principal)
            if rule.lasting:
                await self._while_good(token, rule, proceed)
                return
        await proceed()

    async def _while_good(self, token: str, rule: MethodRule, proceed: Proceed) -> None:
        """Serve a stream until it ends, or until its caller would be refused."""
        try:
            async with asyncio.timeout(None) as limit:
                guard = asyncio.create_task(self._look_again(token, rule, limit))
                guard.add_done_callback(lambda done: done.cancelled() or done.exception())
                try:
                    await proceed()
                finally:
                    guard.cancel()
        except TimeoutError:
            if limit.expired():
                guard.result()
            raise

    async def _look_again(self, token: str, rule: MethodRule, limit: asyncio.Timeout) -> None:
        good = clock.monotonic()
        while True:
            # All streams look in the same turn of the event loop, so that their questions travel together.
            await asyncio.sleep(LOOK_SECONDS - clock.monotonic() % LOOK_SECONDS)
            try:
                rule.check(await self._verifier.verify(token))
                good = clock.monotonic()
            except Exception as error:
                if isinstance(error, Unavailable) and clock.monotonic() - good < DOUBT_SECONDS:
                    continue
                limit.reschedule(asyncio.get_running_loop().time())
                raise

    def _rule_of_undeclared(self, method: str) -> MethodRule:
        rule = ANYBODY if method.startswith(_OPEN_SERVICES) else self._undeclared
        if rule is None:
            raise PermissionDenied
        return rule


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


def _presented(value: str) -> str:
    return value[len(_BEARER) :] if value[: len(_BEARER)].lower() == _BEARER else ""


def _fresh(principal: Principal) -> bool:
    """Whether a person has authenticated in the last minutes."""
    if principal.kind is not SessionKind.SIGN_IN or principal.actor_id or principal.auth_time is None:
        return False
    return (clock.now() - principal.auth_time).total_seconds() <= STEP_UP_SECONDS
