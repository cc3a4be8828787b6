"""Accounts: what a user may see and change of their own, and what services may look up."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from auth_service.directory import Directory
from auth_service.errors import UserNotFound
from auth_service.models import ErasedUser, User
from auth_service.store import erased_users, users
from shared.db import Database
from shared.errors import EtagMismatch


class Accounts:
    """Profiles and roles."""

    def __init__(self, database: Database, directory: Directory) -> None:
        """Change in Postgres, read through the directory."""
        self._database, self._directory = database, directory

    async def update_profile(self, user: User, display_name: str | None, revision: int | None) -> User:
        """Change what is given; a revision that is given must be the present one."""
        if display_name is None:
            if revision not in (None, user.revision):
                raise EtagMismatch
            return user
        stale = f"{self._directory.user_key_prefix}{user.id}"
        changed = await users.update_display_name(self._database, user.id, display_name, revision=revision, stale=stale)
        if changed is None:
            raise EtagMismatch
        await self._directory.forget_user(user.id)
        return changed

    async def batch_get_users(self, user_ids: Sequence[UUID]) -> tuple[list[User], list[UUID]]:
        """The users that exist, in the order asked, and the ids of those that do not."""
        found = await users.find_many(self._database, user_ids)
        return [found[user_id] for user_id in user_ids if user_id in found], [i for i in user_ids if i not in found]

    async def erased_after(self, after: datetime | None, limit: int) -> list[ErasedUser]:
        """Who was erased after a moment, in that order; None is before all."""
        return await erased_users.list_after(self._database, after, limit)

    async def grant_roles(self, email: str, roles: Sequence[str]) -> User:
        """Give an account exactly these roles; they count from the next call on."""
        stale = self._directory.user_key_prefix
        user = await users.update_roles(self._database, email, sorted(set(roles)), stale_prefix=stale)
        if user is None:
            raise UserNotFound
        await self._directory.forget_user(user.id)
        return user
