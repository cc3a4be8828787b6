"""What auth does in the background: it removes what has ended, and pays what the cache is owed."""

from datetime import timedelta
from typing import Final

from auth_service.store import (
    audit_events,
    cache_debts,
    log_in_challenges,
    log_in_failures,
    mail_outbox,
    one_time_codes,
    passkey_challenges,
    revocations,
    sessions,
    signing_keys,
    user_tokens,
    users,
)
from shared.cache import Cache
from shared.cleanup import CleanUp
from shared.db import Database

# Long enough for a user to see how a session of theirs ended, and for an operator to ask why.
_ENDED_SESSIONS_STAY: Final = timedelta(days=30)
_DEAD_TOKENS_STAY: Final = timedelta(days=7)
_FAILURES_STAY: Final = timedelta(days=30)
# Longer than any access token lives that was made before.
_REVOCATIONS_STAY: Final = timedelta(hours=2)
_REMOVED_KEYS_STAY: Final = timedelta(days=30)
_WRITERS_HAVE: Final = timedelta(seconds=1)
_DEBTS_AT_ONCE: Final = 500


def tasks(audit_events_stay: timedelta, user_key_prefix: str) -> list[CleanUp]:
    """The clean-up of sessions, tokens, challenges, failures, revocations, mails, signing keys and deleted accounts."""
    return [
        CleanUp(query=user_tokens.queries.delete_dead, args=(_DEAD_TOKENS_STAY,)),
        CleanUp(query=log_in_challenges.queries.delete_expired),
        CleanUp(query=passkey_challenges.queries.delete_expired),
        CleanUp(query=sessions.queries.delete_ended, args=(_ENDED_SESSIONS_STAY,)),
        CleanUp(query=audit_events.queries.delete_old, args=(audit_events_stay,)),
        CleanUp(query=log_in_failures.queries.delete_old, args=(_FAILURES_STAY,)),
        CleanUp(query=revocations.queries.delete_old, args=(_REVOCATIONS_STAY,)),
        CleanUp(query=mail_outbox.queries.delete_expired),
        CleanUp(query=signing_keys.queries.delete_removed, args=(_REMOVED_KEYS_STAY,)),
        CleanUp(query=one_time_codes.queries.delete_expired),
        CleanUp(query=users.queries.erase, args=(user_key_prefix,)),
    ]


class Debts:
    """Pays for processes that died between a commit and its deletion."""

    def __init__(self, database: Database, cache: Cache) -> None:
        """Read what is owed from Postgres."""
        self._database, self._cache = database, cache

    async def pay(self) -> None:
        """Delete every key that has been owed for longer than its writer needs; deleting one twice does no harm."""
        due = await cache_debts.list_due(self._database, _WRITERS_HAVE, _DEBTS_AT_ONCE)
        if due:
            await self._cache.invalidate(set(due.values()))
            await cache_debts.delete(self._database, list(due))
