"""Users and sessions as everybody reads them: from the shared cache, and from Postgres on a miss."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeVar
from uuid import UUID

from auth_service.models import Session, User
from auth_service.store import sessions, users
from shared import identity
from shared.batch import PointReads
from shared.cache import Cache, CachedReader
from shared.db import Database

_REMEMBERED: Final = 50_000

T = TypeVar("T")


class Directory:
    """Look-ups by id, and the end of what they remember."""

    def __init__(self, database: Database, cache: Cache) -> None:
        """Read both through the cache; what it does not have is read from Postgres, many at a time."""

        async def load_users(ids: Sequence[UUID]) -> Mapping[UUID, User]:
            return await users.find_many(database, ids)

        async def load_sessions(ids: Sequence[UUID]) -> Mapping[UUID, Session]:
            return await sessions.find_many(database, ids)

        self._cache = cache
        self._users = CachedReader(
            cache, identity.USER_KEY_KIND, User, identity.USER_SHAPE, PointReads("users", load_users).get
        )
        self._sessions = CachedReader(
            cache,
            identity.SESSION_KEY_KIND,
            Session,
            identity.SESSION_SHAPE,
            PointReads("sessions", load_sessions).get,
        )
        self._holders: dict[UUID, UUID] = {}
        self.user_key_prefix, self.session_key_prefix = self._users.prefix, self._sessions.prefix

    async def session_and_user(self, session_id: UUID, user_id: UUID) -> tuple[Session | None, User | None]:
        """Both, in one round trip."""
        epoch, raws = await self._cache.look_up((self._sessions.key(session_id), self._users.key(user_id)))
        session = await self._sessions.answer(session_id, raws[0], epoch)
        return session, await self._users.answer(user_id, raws[1], epoch)

    async def session_and_holder(self, session_id: UUID) -> tuple[Session | None, User | None]:
        """The same where the user is not known: after the first time still in one round trip.

        Whose a session is never changes, so that may be remembered.
        """
        user_id = self._holders.get(session_id)
        if user_id is not None:
            return await self.session_and_user(session_id, user_id)
        session = await self._one(self._sessions, session_id)
        if session is None:
            return None, None
        if len(self._holders) >= _REMEMBERED:
            self._holders.clear()
        self._holders[session_id] = session.user_id
        return session, await self._one(self._users, session.user_id)

    async def sessions_and_users(self, pairs: Sequence[tuple[UUID, UUID]]) -> list[tuple[Session | None, User | None]]:
        """The same for several, still in one round trip."""
        return list(await asyncio.gather(*(self.session_and_user(*pair) for pair in pairs)))

    async def forget_user(self, user_id: UUID) -> None:
        """After the commit of a change and before its answer."""
        await self._cache.invalidate([self._users.key(user_id)])

    async def forget_sessions(self, session_ids: Iterable[UUID]) -> None:
        """After the commit of a change and before its answer."""
        await self._cache.invalidate([self._sessions.key(session_id) for session_id in session_ids])

    async def _one(self, reader: CachedReader[T], item_id: UUID) -> T | None:
        epoch, (raw,) = await self._cache.look_up((reader.key(item_id),))
        return await reader.answer(item_id, raw, epoch)
