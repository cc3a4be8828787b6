"""Requests about API keys into commands, and their pages; keys into messages."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from auth_service import scopes
from auth_service.api_keys import DEFAULT_OVERLAP, MAX_LIFETIME, MAX_OVERLAP, ApiKeys, CreateKey, MadeKey, RotateKey
from auth_service.models import MachineCredential
from protos.auth.v1 import api_keys_pb2 as pb
from shared import clock, machine_secrets, paging
from shared.calls import Principal
from shared.grpc.values import timestamp
from shared.ids import text_of
from shared.paging import PageTokens
from shared.validation import Violations

MAX_NAME: Final = 100


def create_key(request: pb.CreateApiKeyRequest) -> CreateKey:
    """The key to make."""
    violations = Violations()
    command = CreateKey(
        name=name(violations, "name", request.name),
        scopes=known_scopes(violations, "scopes", request.scopes, scopes.USER_SCOPES, least=1),
        expire_time=end(violations, request.expire_time if request.HasField("expire_time") else None, MAX_LIFETIME),
        request_id=violations.request_id(request.request_id),
    )
    violations.done()
    return command


def rotate_key(request: pb.RotateApiKeyRequest) -> RotateKey:
    """The key to put another in the place of."""
    violations = Violations()
    command = RotateKey(
        key_id=violations.id("api_key_id", request.api_key_id),
        overlap=_overlap(violations, request.overlap) if request.HasField("overlap") else DEFAULT_OVERLAP,
        expire_time=end(violations, request.expire_time if request.HasField("expire_time") else None, MAX_LIFETIME),
        request_id=violations.request_id(request.request_id),
    )
    violations.done()
    return command


def key_id(request: pb.RevokeApiKeyRequest) -> UUID:
    """The key to end."""
    violations = Violations()
    parsed = violations.id("api_key_id", request.api_key_id)
    violations.done()
    return parsed


def api_key(model: MachineCredential) -> pb.ApiKey:
    """What is known of a key."""
    session = model.session
    return pb.ApiKey(
        id=text_of(session.id),
        name=session.device_label,
        hint=machine_secrets.hint(session),
        scopes=session.scopes,
        create_time=timestamp(session.create_time),
        expire_time=timestamp(session.expire_time),
        last_use_time=timestamp(model.last_use_time) if model.last_use_time else None,
        revoke_time=timestamp(session.revoke_time) if session.revoke_time else None,
        replaces_id=text_of(model.replaces_id) if model.replaces_id else "",
    )


def created(made: MadeKey) -> pb.CreateApiKeyResponse:
    """The answer to a creation."""
    return pb.CreateApiKeyResponse(api_key=api_key(made.key), key_text=made.text)


def rotated(made: MadeKey) -> pb.RotateApiKeyResponse:
    """The answer to a rotation."""
    return pb.RotateApiKeyResponse(api_key=api_key(made.key), key_text=made.text)


class ApiKeyPages:
    """Reads one row more than a page holds, to know whether there is another."""

    def __init__(self, api_keys: ApiKeys, tokens: PageTokens) -> None:
        """Read with these rules, and sign page tokens."""
        self._api_keys, self._tokens = api_keys, tokens

    async def read(self, principal: Principal, request: pb.ListApiKeysRequest) -> pb.ListApiKeysResponse:
        """A page of the caller's keys."""
        size = paging.page_size(request.page_size)
        scope = ("ListApiKeys", str(principal.user_id), int(request.show_revoked))
        cursor = self._tokens.read(scope, request.page_token)
        after = UUID(str(cursor[0])) if cursor else None
        found = await self._api_keys.list(principal, after, size + 1, ended=request.show_revoked)
        token = self._tokens.write(scope, (str(found[size - 1].session.id),)) if len(found) > size else ""
        return pb.ListApiKeysResponse(api_keys=map(api_key, found[:size]), next_page_token=token)


def name(violations: Violations, field: str, text: str) -> str:
    """What something is called by those who made it."""
    if not text:
        violations.add(field, "must be set")
    return violations.line(field, text, longest=MAX_NAME)


def known_scopes(
    violations: Violations, field: str, given: Iterable[str], known: Iterable[str], *, least: int
) -> tuple[str, ...]:
    """Scopes, each once and sorted."""
    asked = sorted(set(given))
    if len(asked) < least or not set(asked) <= set(known):
        violations.add(field, f"must be some of {', '.join(sorted(known))}")
    return tuple(asked)


def end(violations: Violations, given: Timestamp | None, longest: timedelta) -> datetime | None:
    """When a credential shall end; None where that is left to us."""
    if given is None:
        return None
    now = clock.now()
    try:
        moment = given.ToDatetime(UTC)
    except (ValueError, OverflowError):
        moment = now
    if not now < moment <= now + longest:
        violations.add("expire_time", f"must be a moment in the next {longest.days} days")
    return moment


def _overlap(violations: Violations, given: Duration) -> timedelta:
    try:
        overlap = given.ToTimedelta()
    except (ValueError, OverflowError):
        overlap = -MAX_OVERLAP
    if not timedelta() <= overlap <= MAX_OVERLAP:
        violations.add("overlap", f"must be from zero to {MAX_OVERLAP.days} days")
    return overlap
