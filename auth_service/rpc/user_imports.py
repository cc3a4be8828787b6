"""The rows of an import into models, and what became of them into messages."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from datetime import datetime
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from auth_service import emails, password_hashes
from auth_service.imports import Imports
from auth_service.models import ROLES, ImportResult, ImportRow, ImportVerdict, UserState
from auth_service.password_hashes import HashRefused
from auth_service.rpc.administration import MAX_DISPLAY_NAME, MAX_LOCALE, moment
from protos.auth.v1 import imports_pb2 as pb
from protos.auth.v1 import resources_pb2
from shared import calls, clock, ids
from shared.validation import Violations

MAX_ROWS: Final = 500
MAX_SOURCE: Final = 64
MAX_EXTERNAL_ID: Final = 255
_ROWS_A_TURN: Final = 5
_HASH: Final = "password_hash"
_STATES: Final = {
    resources_pb2.USER_STATE_UNSPECIFIED: UserState.ACTIVE,
    resources_pb2.USER_STATE_ACTIVE: UserState.ACTIVE,
    resources_pb2.USER_STATE_SUSPENDED: UserState.SUSPENDED,
}
_VERDICTS: Final = {verdict: pb.ImportVerdict.Value(f"IMPORT_VERDICT_{verdict}") for verdict in ImportVerdict}


class UserImports:
    """Answers each request of a stream before it reads the next."""

    def __init__(self, imports: Imports) -> None:
        """Import with these rules."""
        self._imports = imports

    async def answers(self, requests: AsyncIterable[pb.ImportUsersRequest]) -> AsyncIterator[pb.ImportUsersResponse]:
        """What became of the rows of each request."""
        running = self._imports.begin(calls.principal())
        async for request in requests:
            source = _source(request)
            read = [row async for row in _rows(request.rows)]
            rows = [row for row in read if isinstance(row, ImportRow)]
            results = iter(await running.add(source, rows))
            told = [row if isinstance(row, ImportResult) else next(results) for row in read]
            yield pb.ImportUsersResponse(results=map(_result, request.rows, told))


def _source(request: pb.ImportUsersRequest) -> str:
    violations = Violations()
    source = violations.line("source", request.source, longest=MAX_SOURCE)
    if not source:
        violations.add("source", "must be set")
    violations.count("rows", request.rows, most=MAX_ROWS)
    violations.done()
    return source


async def _rows(rows: Sequence[pb.ImportRow]) -> AsyncIterator[ImportRow | ImportResult]:
    """Each row, or what is wrong with it; other calls have a turn between a few of them."""
    for number, row in enumerate(rows):
        if number % _ROWS_A_TURN == 0:
            await asyncio.sleep(0)
        yield _row(row)


def _row(row: pb.ImportRow) -> ImportRow | ImportResult:
    violations = Violations()
    email, state = emails.normalise(row.email), _STATES.get(row.state)
    if email is None:
        violations.add("email", f"must be an email address of at most {emails.MAX_LENGTH} characters")
    if state is None:
        violations.add("state", "must be ACTIVE or SUSPENDED")
    if any(role not in ROLES for role in row.roles):
        violations.add("roles", f"must be some of {', '.join(ROLES)}")
    read = ImportRow(
        external_id=violations.text("external_id", row.external_id, shortest=1, longest=MAX_EXTERNAL_ID),
        email=email or "",
        email_verified=row.email_verified,
        display_name=violations.line("display_name", row.display_name, longest=MAX_DISPLAY_NAME),
        password_hash=_password_hash(violations, row.password_hash),
        roles=tuple(sorted(set(row.roles))),
        state=state or UserState.ACTIVE,
        locale=violations.line("locale", row.locale, longest=MAX_LOCALE),
        create_time=_create_time(violations, row.create_time) if row.HasField("create_time") else None,
    )
    if not violations.found:
        return read
    only_the_hash = all(violation.field == _HASH for violation in violations.found)
    verdict = ImportVerdict.HASH_REFUSED if only_the_hash else ImportVerdict.INVALID
    return ImportResult(verdict=verdict, violations=violations.found)


def _password_hash(violations: Violations, text: str) -> str | None:
    if not text:
        return None
    try:
        password_hashes.parse(text)
    except HashRefused as refused:
        violations.add(_HASH, str(refused))
    return text


def _create_time(violations: Violations, value: Timestamp) -> datetime | None:
    read = moment(violations, "create_time", value)
    if read is not None and read > clock.now():
        violations.add("create_time", "must not lie in the future")
    return read


def _result(row: pb.ImportRow, result: ImportResult) -> pb.ImportResult:
    return pb.ImportResult(
        external_id=row.external_id[:MAX_EXTERNAL_ID],
        verdict=_VERDICTS[result.verdict],
        user_id=ids.text_of(result.user_id) if result.user_id else "",
        violations=[pb.ImportViolation(field=v.field, description=v.description) for v in result.violations],
    )
