"""The rules of the ledger: what was used, by day and model, and for administrators by user."""

from chat_service.models import Page
from chat_service.run_models import UsageDays, UsageOfDay, UsageOfUser, UsageUsers
from chat_service.store import ai_usage as store
from shared.db import Database


class Ledger:
    """Shows what was used."""

    def __init__(self, database: Database) -> None:
        """Read it from this database."""
        self._database = database

    async def days(self, asked: UsageDays) -> Page[UsageOfDay]:
        """A page of a user's days, the newest first."""
        return await store.list_days(self._database, asked)

    async def users(self, asked: UsageUsers) -> Page[UsageOfUser]:
        """A page of users."""
        return await store.list_users(self._database, asked)
