"""What auth keeps of a user, for the user: everything but secrets, read in pages."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Final, TypeAlias, TypeVar

from auth_service.directory import Directory
from auth_service.models import AuditEvent, ImportOrigin, MachineCredential, Passkey, SecondFactors, Session, User
from auth_service.store import audit_events, imported_users, machine_credentials, passkeys, second_factors, sessions
from auth_service.store.audit_events import Filter
from shared import identity
from shared.calls import Principal
from shared.db import Database
from shared.errors import Unauthenticated

PAGE: Final = 200

Record: TypeAlias = User | SecondFactors | ImportOrigin | Passkey | MachineCredential | Session | AuditEvent
Listed = TypeVar("Listed", Passkey, MachineCredential, Session, AuditEvent)
Place = TypeVar("Place")


class AccountExport:
    """Reads what there is, for as long as the caller's session stands."""

    def __init__(self, database: Database, directory: Directory) -> None:
        """Read from Postgres; the directory says whether the caller still may."""
        self._database, self._directory = database, directory

    async def records(self, principal: Principal) -> AsyncGenerator[Record, None]:
        """Each record; raises Unauthenticated once the session has ended."""
        database, user_id = self._database, principal.user_id
        yield await self._account(principal)
        yield await second_factors.find(database, user_id)
        for origin in await imported_users.list_of(database, user_id):
            yield origin
        pages: tuple[AsyncGenerator[Sequence[Record], None], ...] = (
            _pages(
                lambda after: passkeys.list_page(database, user_id, after=after, limit=PAGE),
                lambda last: last.id,
            ),
            _pages(
                lambda after: machine_credentials.list_page(database, user_id, after=after, limit=PAGE, ended=True),
                lambda last: last.session.id,
            ),
            _pages(
                lambda after: sessions.list_all(database, user_id, after=after, limit=PAGE),
                lambda last: last.id,
            ),
            _pages(
                lambda after: audit_events.list_page(database, Filter(user_id=user_id), after, PAGE),
                lambda last: (last.create_time, last.id),
            ),
        )
        for kind in pages:
            async for page in kind:
                await self._account(principal)
                for record in page:
                    yield record

    async def _account(self, principal: Principal) -> User:
        """The access token was checked when the stream began, and the stream may outlive it."""
        session, user = await self._directory.session_and_user(principal.session_id, principal.user_id)
        objection = identity.objection(principal.user_id, session, user)
        if objection is not None or user is None:
            raise Unauthenticated(inactive_reason=objection)
        return user


async def _pages(
    read: Callable[[Place | None], Awaitable[Sequence[Listed]]], place: Callable[[Listed], Place]
) -> AsyncGenerator[Sequence[Listed], None]:
    """Page after page, each read when the one before has gone."""
    page = await read(None)
    while page:
        yield page
        page = await read(place(page[-1])) if len(page) == PAGE else ()
