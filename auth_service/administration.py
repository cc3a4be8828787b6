"""What administrators do with other people's accounts, and the events that they read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from auth_service.directory import Directory
from auth_service.errors import EmailTaken, OwnAccount, SessionNotFound, UserDeleted, UserNotFound
from auth_service.models import AuditEvent, Session, User, UserState
from auth_service.sessions import Sessions
from auth_service.store import administration, audit_events, user_lists, users
from auth_service.store.administration import Act, NewUser, UserChange
from auth_service.store.audit_events import Filter, NewEvent
from shared import calls
from shared.calls import Principal
from shared.db import Database
from shared.errors import EtagMismatch, RequestIdReused


@dataclass(frozen=True, slots=True, kw_only=True)
class UserFilter:
    """Which accounts; at most one of them is set."""

    email_prefix: str = ""
    display_name_prefix: str = ""
    state: UserState | None = None


class Administration:
    """Accounts in other hands."""

    def __init__(self, database: Database, directory: Directory, sessions: Sessions) -> None:
        """Change in Postgres, and forget in the directory what that makes stale."""
        self._database, self._directory, self._sessions = database, directory, sessions

    async def create(self, new: NewUser) -> User:
        """Make an account; a repeat with its request_id gets the first one."""
        try:
            return await administration.insert(self._database, new, _act())
        except EmailTaken:
            found = await users.find_credentials(self._database, new.email)
            if new.request_id is None or found is None or found.sign_up_request_id != new.request_id:
                raise
            if (found.user.display_name, found.user.locale) != (new.display_name, new.locale):
                raise RequestIdReused from None
            return found.user

    async def get(self, user_id: UUID) -> User:
        """An account by its id, as it stands in Postgres."""
        found = (await users.find_many(self._database, [user_id])).get(user_id)
        if found is None:
            raise UserNotFound
        return found

    async def get_by_email(self, email: str) -> User:
        """An account by its email."""
        found = await users.find_by_email(self._database, email)
        if found is None:
            raise UserNotFound
        return found

    async def list(self, wanted: UserFilter, after: User | None, limit: int) -> Sequence[User]:
        """Accounts from after a place on, in the order of the filter."""
        database = self._database
        if wanted.email_prefix:
            return await user_lists.by_email(database, wanted.email_prefix, after.email if after else "", limit)
        if wanted.display_name_prefix:
            place = (after.display_name.lower(), after.id) if after else None
            return await user_lists.by_display_name(database, wanted.display_name_prefix, place, limit)
        if wanted.state is not None:
            return await user_lists.by_state(database, wanted.state, after.id if after else None, limit)
        return await user_lists.newest(database, after.id if after else None, limit)

    async def update(self, user_id: UUID, change: UserChange, revision: int | None) -> User:
        """Change what is given; a revision that is given must be the present one."""
        await self.get(user_id)
        stale = f"{self._directory.user_key_prefix}{user_id}"
        changed = await administration.update(self._database, user_id, change, revision, stale=stale, act=_act())
        if changed is None:
            raise EtagMismatch
        await self._directory.forget_user(user_id)
        return changed

    async def suspend(self, principal: Principal, user_id: UUID, comment: str) -> User:
        """Shut an account and end its sign-ins: after this none of its tokens is accepted."""
        if user_id == principal.user_id:
            raise OwnAccount
        done = await administration.suspend(
            self._database,
            user_id,
            comment,
            stale=f"{self._directory.user_key_prefix}{user_id}",
            stale_prefix=self._directory.session_key_prefix,
            act=_act(),
        )
        ended = done[1] if done else []
        found = done[0] if done else _not_deleted(await self.get(user_id))
        # Also where another has suspended it: its deletion may still be on the way, and our answer promises the same.
        await self._directory.forget_user(user_id)
        if ended:
            await self._directory.forget_sessions(ended)
        return found

    async def reinstate(self, user_id: UUID, comment: str) -> User:
        """Open a suspended account."""
        stale = f"{self._directory.user_key_prefix}{user_id}"
        opened = await administration.reinstate(self._database, user_id, comment, stale=stale, act=_act())
        found = opened or _not_deleted(await self.get(user_id))
        await self._directory.forget_user(user_id)
        return found

    async def list_sessions(self, user_id: UUID, after: tuple[datetime, UUID] | None, limit: int) -> Sequence[Session]:
        """The sign-ins of a user that may be used now, the newest first, from after a place on."""
        await self.get(user_id)
        return await self._sessions.list_of(user_id, after, limit)

    async def revoke_sessions(self, user_id: UUID, session_id: UUID | None) -> int:
        """End one or all sign-ins of a user, and say how many there were."""
        await self.get(user_id)
        if session_id is None:
            count = await self._sessions.revoke_all(user_id)
        elif await self._sessions.revoke_of(user_id, session_id):
            count = 1
        else:
            raise SessionNotFound
        act = _act()
        details = {"count": count, "session_id": str(session_id) if session_id else ""}
        event = NewEvent(
            type="USER_SESSIONS_REVOKED",
            user_id=user_id,
            actor_id=act.actor_id,
            address=act.address,
            details=details,
        )
        await audit_events.insert(self._database, event)
        return count

    async def list_events(
        self, wanted: Filter, after: tuple[datetime, UUID] | None, limit: int
    ) -> Sequence[AuditEvent]:
        """Events, the newest first, from after a place on."""
        return await audit_events.list_page(self._database, wanted, after, limit)


def _act() -> Act:
    return Act(actor_id=calls.principal().user_id, address=calls.address())


def _not_deleted(user: User) -> User:
    if user.state is UserState.DELETED:
        raise UserDeleted
    return user
