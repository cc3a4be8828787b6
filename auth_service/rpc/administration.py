"""Administrators' requests into commands, their pages, and events into messages."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from auth_service import emails
from auth_service.administration import Administration, UserFilter
from auth_service.models import ROLES, AuditEvent, UserState
from auth_service.rpc import convert
from auth_service.store.administration import NewUser, UserChange
from auth_service.store.audit_events import Filter
from protos.auth.v1 import administration_pb2 as pb
from protos.auth.v1 import resources_pb2
from shared import ids, paging
from shared.grpc.values import timestamp
from shared.paging import Cursor, PageTokens
from shared.validation import Violations

MAX_DISPLAY_NAME: Final = 100
MAX_LOCALE: Final = 35
MAX_COMMENT: Final = 500
MAX_EVENT_TYPE: Final = 64
_WRITABLE: Final = ("display_name", "locale", "roles", "email_verified")
_STATES: Final = {
    resources_pb2.USER_STATE_SUSPENDED: UserState.SUSPENDED,
    resources_pb2.USER_STATE_DELETED: UserState.DELETED,
}


def new_user(request: pb.CreateUserRequest) -> NewUser:
    """The account to make."""
    violations = Violations()
    email = emails.normalise(request.user.email)
    if email is None:
        violations.add("user.email", f"must be an email address of at most {emails.MAX_LENGTH} characters")
    new = NewUser(
        email=email or "",
        display_name=violations.line("user.display_name", request.user.display_name, longest=MAX_DISPLAY_NAME),
        locale=violations.line("user.locale", request.user.locale, longest=MAX_LOCALE),
        roles=_roles(violations, request.user.roles),
        email_verified=request.user.email_verified,
        request_id=violations.request_id(request.request_id),
    )
    violations.done()
    return new


def user_change(request: pb.UpdateUserRequest) -> tuple[UUID, UserChange, int | None]:
    """Whom to change, what to write, and the revision that is to be changed, or None."""
    violations = Violations()
    user = request.user
    user_id = violations.id("user.id", user.id)
    given = [name for name in _WRITABLE if getattr(user, name)]
    fields = violations.mask(request.update_mask.paths, _WRITABLE, given)
    name = violations.line("user.display_name", user.display_name, longest=MAX_DISPLAY_NAME)
    locale = violations.line("user.locale", user.locale, longest=MAX_LOCALE)
    roles = _roles(violations, user.roles)
    revision = convert.revision(user.etag)
    if user.etag and revision is None:
        violations.add("user.etag", "must be the etag of a user that was read, as it was read")
    violations.done()
    change = UserChange(
        display_name=name if "display_name" in fields else None,
        locale=locale if "locale" in fields else None,
        roles=roles if "roles" in fields else None,
        email_verified=user.email_verified if "email_verified" in fields else None,
    )
    return user_id, change, revision


def wanted_user(request: pb.GetUserRequest) -> tuple[UUID | None, str]:
    """The id or the email of the account to get."""
    violations = Violations()
    if bool(request.user_id) == bool(request.email):
        violations.add("user_id", "exactly one of user_id and email must be set")
    user_id = violations.optional_id("user_id", request.user_id)
    email = emails.normalise(request.email) if request.email else ""
    if email is None:
        violations.add("email", "must be an email address")
    violations.done()
    return user_id, email or ""


def user_id(text: str) -> UUID:
    """The account that is meant."""
    violations = Violations()
    parsed = violations.id("user_id", text)
    violations.done()
    return parsed


def commented(request: pb.SuspendUserRequest | pb.ReinstateUserRequest) -> tuple[UUID, str]:
    """The account that is meant, and why."""
    violations = Violations()
    parsed = violations.id("user_id", request.user_id)
    comment = violations.text("comment", request.comment, longest=MAX_COMMENT)
    violations.done()
    return parsed, comment


def doomed_sessions(request: pb.RevokeUserSessionsRequest) -> tuple[UUID, UUID | None]:
    """Whose session, and which; None for all."""
    violations = Violations()
    parsed = violations.id("user_id", request.user_id), violations.optional_id("session_id", request.session_id)
    violations.done()
    return parsed


class AdminPages:
    """Reads one row more than a page holds, to know whether there is another."""

    def __init__(self, administration: Administration, tokens: PageTokens) -> None:
        """Read with these rules, and sign page tokens."""
        self._administration, self._tokens = administration, tokens

    async def users(self, request: pb.ListUsersRequest) -> pb.ListUsersResponse:
        """A page of accounts."""
        size, wanted = paging.page_size(request.page_size), _user_filter(request)
        scope = ("ListUsers", wanted.email_prefix, wanted.display_name_prefix, wanted.state or "")
        cursor = self._tokens.read(scope, request.page_token)
        after = await self._administration.get(UUID(str(cursor[0]))) if cursor else None
        found = await self._administration.list(wanted, after, size + 1)
        token = self._tokens.write(scope, (str(found[size - 1].id),)) if len(found) > size else ""
        return pb.ListUsersResponse(users=map(convert.user, found[:size]), next_page_token=token)

    async def sessions(self, request: pb.ListUserSessionsRequest, own: UUID) -> pb.ListUserSessionsResponse:
        """A page of a user's sign-ins; `own` is the administrator's."""
        size, whose = paging.page_size(request.page_size), user_id(request.user_id)
        scope = ("ListUserSessions", str(whose))
        after = _place(self._tokens.read(scope, request.page_token))
        found = await self._administration.list_sessions(whose, after, size + 1)
        last = found[size - 1] if len(found) > size else None
        token = self._tokens.write(scope, (last.expire_time.isoformat(), str(last.id))) if last else ""
        return pb.ListUserSessionsResponse(sessions=convert.sessions(found[:size], own, {}), next_page_token=token)

    async def events(self, request: pb.ListAuditEventsRequest) -> pb.ListAuditEventsResponse:
        """A page of events."""
        size, wanted = paging.page_size(request.page_size), _event_filter(request)
        scope = ("ListAuditEvents", *map(str, (wanted.user_id, wanted.type, wanted.start_time, wanted.end_time)))
        cursor = self._tokens.read(scope, request.page_token)
        found = await self._administration.list_events(wanted, _place(cursor), size + 1)
        token = self._tokens.write(scope, _cursor(found[size - 1])) if len(found) > size else ""
        return pb.ListAuditEventsResponse(events=map(event, found[:size]), next_page_token=token)


def event(model: AuditEvent) -> pb.AuditEvent:
    """An event."""
    details = Struct()
    for name, value in model.details.items():
        details[name] = value if isinstance(value, str | int) else list(value)
    return pb.AuditEvent(
        id=ids.text_of(model.id),
        type=model.type,
        user_id=_text(model.user_id),
        session_id=_text(model.session_id),
        actor_id=_text(model.actor_id),
        address=model.address,
        details=details,
        create_time=timestamp(model.create_time),
    )


def _user_filter(request: pb.ListUsersRequest) -> UserFilter:
    violations = Violations()
    wanted = UserFilter(
        email_prefix=violations.text("email_prefix", request.email_prefix, longest=emails.MAX_LENGTH).lower(),
        display_name_prefix=violations.text(
            "display_name_prefix", request.display_name_prefix, longest=MAX_DISPLAY_NAME
        ).lower(),
        state=_STATES.get(request.state),
    )
    if request.state and wanted.state is None:
        violations.add("state", "must be SUSPENDED or DELETED")
    if sum(map(bool, (wanted.email_prefix, wanted.display_name_prefix, request.state))) > 1:
        violations.add("email_prefix", "at most one of email_prefix, display_name_prefix and state may be set")
    violations.done()
    return wanted


def _event_filter(request: pb.ListAuditEventsRequest) -> Filter:
    violations = Violations()
    wanted = Filter(
        user_id=violations.optional_id("user_id", request.user_id),
        type=violations.line("type", request.type, longest=MAX_EVENT_TYPE) or None,
        start_time=moment(violations, "start_time", request.start_time) if request.HasField("start_time") else None,
        end_time=moment(violations, "end_time", request.end_time) if request.HasField("end_time") else None,
    )
    violations.done()
    return wanted


def moment(violations: Violations, field: str, value: Timestamp) -> datetime | None:
    """The moment that a field says, where it is one."""
    try:
        return value.ToDatetime(UTC)
    except (ValueError, OverflowError):
        violations.add(field, "must be a moment between the years 1 and 9999")
        return None


def _roles(violations: Violations, roles: Sequence[str]) -> list[str]:
    if any(role not in ROLES for role in roles):
        violations.add("user.roles", f"must be some of {', '.join(ROLES)}")
    return sorted(set(roles))


def _place(cursor: Cursor | None) -> tuple[datetime, UUID] | None:
    return (datetime.fromisoformat(str(cursor[0])), UUID(str(cursor[1]))) if cursor else None


def _cursor(last: AuditEvent) -> Cursor:
    return last.create_time.isoformat(), str(last.id)


def _text(identifier: UUID | None) -> str:
    return ids.text_of(identifier) if identifier else ""
