"""Signing keys in Postgres; their private halves are sealed."""

from auth_service.models import SigningKeyRow
from shared import sql
from shared.db import Executor

queries = sql.load(__file__)


async def list_all(executor: Executor) -> list[SigningKeyRow]:
    """Every key, the oldest first."""
    return [SigningKeyRow(**dict(row)) for row in await executor.fetch_all(queries.list_all)]


async def insert_if_none_signs(executor: Executor, key: SigningKeyRow) -> None:
    """Add the key that signs, unless another replica has been quicker."""
    await executor.fetch_one(
        queries.insert_if_none_signs, key.kid, key.algorithm, key.public_jwk, key.private_key_sealed
    )
