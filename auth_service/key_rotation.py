"""How signing keys come and go: by themselves when it is time, by an operator, and all at once in an emergency.

The states, and what must hold of them, stand in `keys.py`. Every time is Postgres's, every replica may do what is due,
and changes of the set wait for each other, so that it does not matter how many try.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog

from auth_service import private_keys
from auth_service.keys import FRESH_SECONDS, OVERLAP
from auth_service.models import KeyState, SigningAlgorithm, SigningKeyRow, SigningKeyStatus
from auth_service.store import signing_keys
from auth_service.store.signing_keys import Author
from shared import calls
from shared.access_tokens import LEEWAY_SECONDS
from shared.crypto import SealingKeys
from shared.db import Database

log = structlog.get_logger()

MAX_TOKEN_LIFETIME: Final = timedelta(minutes=60)
RETENTION: Final = MAX_TOKEN_LIFETIME + timedelta(seconds=LEEWAY_SECONDS) + OVERLAP
TICK_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationPlan:
    """With what keys tokens are signed, and for how long each.

    `retention` does not follow the setting of a token's life, which may have been a longer one when it was signed.
    """

    algorithm: SigningAlgorithm
    period: timedelta
    overlap: timedelta = OVERLAP
    retention: timedelta = RETENTION

    @property
    def successor_after(self) -> timedelta:
        """The age of a signing key at which the next is published."""
        return max(self.period - self.overlap, timedelta())


class KeyRotation:
    """Moves the keys through their lives."""

    def __init__(self, database: Database, sealing: SealingKeys, plan: RotationPlan) -> None:
        """Seal private halves with `sealing`."""
        self._database, self._sealing, self._plan = database, sealing, plan

    async def begin(self) -> None:
        """Make the first key where there is none; replicas that start together agree on one."""
        _, accepted = await signing_keys.list_accepted(self._database)
        if not any(row.state is KeyState.SIGNING for row in accepted):
            key = await self._make()
            async with signing_keys.changing(self._database) as tx:
                await signing_keys.insert_first(tx, key)

    async def move_on(self) -> None:
        """Do what is due. A new setting of the algorithm makes a new key due."""
        plan = self._plan
        due = await signing_keys.find_due(
            self._database, plan.algorithm.value, plan.successor_after, plan.overlap, plan.retention
        )
        if due.remove:
            async with signing_keys.changing(self._database) as tx:
                removed = await signing_keys.remove_retired(tx, plan.retention)
            log.info("signing keys removed", kids=removed)
        if due.promote:
            await self._promote(Author())
        if due.publish:
            await self._publish(Author())

    async def rotate(self, actor_id: UUID | None, *, emergency: bool) -> list[SigningKeyStatus]:
        """Rotate before it is due, and tell where every key stands, the newest first. An operator has no id.

        The published key signs at once if everybody knows it; else one is published that will. In an emergency a new
        key signs and all others end, and with them every access token: when this returns no replica accepts one.
        """
        author = Author(actor_id=actor_id, address=calls.address())
        if emergency:
            await self._replace(author)
        elif not await self._promote(author):
            await self._publish(author)
        return await signing_keys.list_states(self._database, self._plan.overlap, self._plan.retention)

    async def _replace(self, author: Author) -> None:
        key = await self._make()
        async with signing_keys.changing(self._database) as tx:
            await signing_keys.replace_all(tx, key, author)
        log.warning("all signing keys were replaced", kid=key.kid, actor_id=str(author.actor_id or ""))
        await asyncio.sleep(FRESH_SECONDS)

    async def _promote(self, author: Author) -> bool:
        async with signing_keys.changing(self._database) as tx:
            kid = await signing_keys.promote(tx, self._plan.overlap, author)
        if kid is not None:
            log.info("signing key signs", kid=kid)
        return kid is not None

    async def _publish(self, author: Author) -> None:
        key = await self._make()
        async with signing_keys.changing(self._database) as tx:
            published = await signing_keys.publish(tx, key, author)
        if published:
            log.info("signing key published", kid=key.kid, algorithm=key.algorithm)

    async def _make(self) -> SigningKeyRow:
        return await asyncio.to_thread(private_keys.make, self._plan.algorithm, self._sealing)
