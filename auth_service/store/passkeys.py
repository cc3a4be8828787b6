"""Passkeys in Postgres."""

from collections.abc import Sequence
from uuid import UUID

from auth_service.errors import PasskeyTaken
from auth_service.models import FactorChange, NewPasskey, Passkey, PasskeyCredential, PasskeyRow, Strengthened
from shared import db, ids, sql
from shared.db import Executor, Record
from shared.errors import Conflict

queries = sql.load(__file__)


async def insert(
    executor: Executor,
    change: FactorChange,
    session: Strengthened,
    new: NewPasskey,
    *,
    name: str,
    code_digests: Sequence[bytes],
) -> tuple[Passkey, bool] | None:
    """Add a passkey, and say whether it is the account's first second factor; None where there is no place left."""
    with db.raising(passkeys_credential=PasskeyTaken, passkeys_slot=Conflict):
        row = await executor.fetch_one(
            queries.insert,
            ids.new_id(),
            change.user_id,
            new.credential_id,
            new.public_key,
            new.sign_count,
            list(new.transports),
            new.synced,
            name,
            code_digests,
            change.session_id,
            list(session.auth_methods),
            session.stale,
            ids.new_id(),
            change.address,
        )
    return (_passkey(row), row["first"]) if row else None


async def list_page(executor: Executor, user_id: UUID, *, after: UUID | None, limit: int) -> list[Passkey]:
    """A user's passkeys in the order in which they were added."""
    return [_passkey(row) for row in await executor.fetch_all(queries.list_page, user_id, after, limit)]


async def list_credentials(executor: Executor, user_id: UUID) -> list[PasskeyCredential]:
    """What a browser is told of a user's passkeys."""
    rows = await executor.fetch_all(queries.list_credentials, user_id)
    return [PasskeyCredential(credential_id=row["credential_id"], transports=tuple(row["transports"])) for row in rows]


async def find_by_credential(executor: Executor, credential_id: bytes) -> PasskeyRow | None:
    """The passkey that an authenticator calls so."""
    row = await executor.fetch_one(queries.find_by_credential, credential_id)
    return PasskeyRow(**dict(row)) if row else None


async def advance(executor: Executor, passkey_id: UUID, sign_count: int) -> bool:
    """Note a use; False where the authenticator's count says that there is a copy of it."""
    return await executor.fetch_value(queries.advance, passkey_id, sign_count) is not None


async def delete(executor: Executor, change: FactorChange, passkey_id: UUID) -> bool:
    """Remove one; False where it is none of the user's."""
    deleted = await executor.fetch_value(
        queries.delete, change.user_id, passkey_id, change.session_id, ids.new_id(), change.address
    )
    return deleted is not None


def _passkey(row: Record) -> Passkey:
    return Passkey(
        id=row["id"],
        name=row["name"],
        synced=row["synced"],
        create_time=row["create_time"],
        use_time=row["use_time"],
    )
