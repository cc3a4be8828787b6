"""Keys of several replicas beside each other, with lives as short as a test wants them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from auth_service.access_tokens import Grant, Minter
from auth_service.key_rotation import KeyRotation, RotationPlan
from auth_service.keys import OVERLAP, Keys
from auth_service.models import SigningAlgorithm
from shared.access_tokens import TokenChecker, TokenRefused
from shared.background import Background
from shared.crypto import KeyRing
from shared.db import Database, PoolSettings
from tests.servers import TestDatabase, fetch

RING = KeyRing(b"a master key of the tests, no other")
POOL = PoolSettings(
    max_size=8,
    min_size=1,
    acquire_timeout=5.0,
    statement_timeout=5.0,
    lock_timeout=5.0,
    idle_timeout=60,
    slow_query_seconds=10,
)
USER = UUID(int=1)
GRANT = Grant(
    user_id=USER,
    session_id=UUID(int=2),
    session_expire_time=datetime.now(UTC) + timedelta(days=1),
    roles=(),
    auth_methods=("pwd",),
    assurance=1,
    auth_time=datetime.now(UTC),
)
NINETY_DAYS = timedelta(days=90)


@dataclass(frozen=True)
class Replica:
    database: Database
    keys: Keys
    rotation: KeyRotation
    minter: Minter
    checker: TokenChecker
    background: Background

    def mint(self) -> str:
        return self.minter.mint(GRANT)[0]

    async def accepts(self, token: str) -> bool:
        """As TokenVerifier checks it."""
        if not self.keys.fresh:
            await self.keys.refresh()
        try:
            return self.checker.check(token, self.keys.public).user_id == USER
        except TokenRefused:
            return False


def plan(
    algorithm: SigningAlgorithm = SigningAlgorithm.EDDSA, period: timedelta = NINETY_DAYS, **times: timedelta
) -> RotationPlan:
    return RotationPlan(algorithm=algorithm, period=period, **times)


@asynccontextmanager
async def replica(
    database: TestDatabase, its: RotationPlan | None = None, ring: KeyRing = RING, *, reading: bool = True
) -> AsyncIterator[Replica]:
    """One that reads the keys again and again, unless it is told not to."""
    chosen = its or plan()
    async with Background() as background, Database.connect("replica", database.url, POOL, background) as pool:
        sealing = ring.sealing("signing keys")
        rotation = KeyRotation(pool, sealing, chosen)
        await rotation.begin()
        keys = Keys(pool, sealing, chosen.overlap or OVERLAP)
        if reading:
            await keys.start(background)
        minter = Minter(keys, "parley", ["auth"], timedelta(minutes=10))
        yield Replica(pool, keys, rotation, minter, TokenChecker("parley", "auth"), background)
        await background.stop()


async def later(database: TestDatabase, past: timedelta) -> None:
    """Let so much time pass in the keys' lives: all that has happened to them happened earlier."""
    for column in ("create_time", "sign_time", "retire_time", "remove_time"):
        await fetch(database.url, f"UPDATE signing_keys SET {column} = {column} - $1::interval", past)


async def states(database: TestDatabase) -> list[str]:
    """The states of all keys, the oldest first."""
    rows = await fetch(database.url, "SELECT state FROM signing_keys ORDER BY create_time, kid")
    return [row["state"] for row in rows]
