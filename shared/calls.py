"""The call being served: who asks, under which id, with how much time left. One for each RPC, in a context variable."""

from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from shared import clock
from shared.errors import Unauthenticated
from shared.identity import Session, SessionKind, User


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The user behind a verified token, and the session it belongs to: a sign-in, or a machine's credential.

    `scopes` limit the caller, and empty ones do not; `actor_id` is the service account that acts on the user's behalf.
    """

    user_id: UUID
    session_id: UUID
    kind: SessionKind = SessionKind.SIGN_IN
    roles: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    auth_methods: tuple[str, ...] = ()
    assurance: int = 1
    auth_time: datetime | None = None
    actor_id: UUID | None = None
    expire_time: datetime

    @classmethod
    def of(cls, session: Session, user: User, expire_time: datetime) -> "Principal":
        """The user behind a session, as both are now."""
        return cls(
            user_id=user.id,
            session_id=session.id,
            kind=session.kind,
            roles=user.roles,
            scopes=session.scopes,
            auth_methods=session.auth_methods,
            assurance=session.assurance,
            auth_time=session.auth_time,
            expire_time=expire_time,
        )


@dataclass(slots=True, kw_only=True)
class Call:
    """One RPC on its way through the house; deadline is in seconds of the monotonic clock."""

    method: str
    request_id: str
    address: str = ""
    user_agent: str = ""
    deadline: float | None = None
    started: float = field(default_factory=clock.monotonic)
    principal: Principal | None = None
    presented_token: str = field(default="", repr=False)
    code: str = "OK"
    reason: str = ""


@dataclass(slots=True)
class Load:
    """How many calls this process is answering now; streams, which may last for hours, do not count."""

    in_flight: int = 0


load = Load()
current: ContextVar[Call | None] = ContextVar("current", default=None)


def principal() -> Principal:
    """Who is calling; the access interceptor has seen to it on every RPC that is not public."""
    call = current.get()
    if call is None or call.principal is None:
        raise Unauthenticated
    return call.principal


def remark(*, principal: Principal | None = None, reason: str = "") -> None:
    """Say in the call's log line of whom its answer speaks, or why that is a refusal."""
    call = current.get()
    if call is not None:
        call.principal, call.reason = principal, reason


def presented_token() -> str:
    """The access token that came with a public call, which nobody has checked; empty where there was none."""
    call = current.get()
    return call.presented_token if call else ""


def address() -> str:
    """The network address of the caller, without a port; empty where there is none."""
    call = current.get()
    return call.address if call else ""


def user_agent() -> str:
    """What the caller says of its client; empty where it says nothing."""
    call = current.get()
    return call.user_agent if call else ""


def remaining(limit: float) -> float:
    """Seconds that an outside call may take: the limit, or what is left of the caller's deadline if that is less."""
    call = current.get()
    if call is None or call.deadline is None:
        return limit
    return min(limit, max(call.deadline - clock.monotonic(), 0.0))
