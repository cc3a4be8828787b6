"""Whether an answer is a known passkey's, to a question that was asked: for every call that takes one.

Each question is answered once, and a copy of an authenticator gives itself away by its count.
"""

import secrets
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog

from auth_service import ceremonies
from auth_service.ceremonies import Asserted, CeremonyFailed, Presented, RelyingParty
from auth_service.models import (
    HARDWARE_KEY,
    PRESENCE,
    SOFTWARE_KEY,
    TWO_FACTORS,
    PasskeyCredential,
    PasskeyRow,
)
from auth_service.store import audit_events, passkey_challenges, passkeys
from auth_service.store.audit_events import NewEvent
from auth_service.store.passkey_challenges import CeremonyPurpose, Consumed
from shared import calls
from shared.db import Database

log = structlog.get_logger()

_CHALLENGE_BYTES: Final = 32


class PasskeyChecks:
    """Asks for passkeys, and checks the answers."""

    def __init__(self, database: Database, party: RelyingParty) -> None:
        """Ask in the name of the relying party."""
        self._database, self.party = database, party

    async def new_challenge(
        self, purpose: CeremonyPurpose, *, user_id: UUID | None = None, email: str | None = None
    ) -> tuple[bytes, datetime]:
        """What an authenticator is to sign, and until when."""
        challenge = secrets.token_bytes(_CHALLENGE_BYTES)
        expire_time = await passkey_challenges.insert(
            self._database,
            ceremonies.digest(challenge),
            purpose,
            user_id=user_id,
            email=email,
            lifetime=ceremonies.LIFETIME,
        )
        return challenge, expire_time

    async def credentials(self, user_id: UUID) -> list[PasskeyCredential]:
        """What a browser is told of a user's passkeys."""
        return await passkeys.list_credentials(self._database, user_id)

    async def consume(self, purpose: CeremonyPurpose, challenge: bytes, user_id: UUID | None) -> Consumed | None:
        """Use up what was asked; None where it was not, or was answered before."""
        return await passkey_challenges.consume(self._database, ceremonies.digest(challenge), purpose, user_id=user_id)

    async def check(self, text: str, challenge: bytes, presented: Presented) -> tuple[PasskeyRow, tuple[str, ...]]:
        """Whose passkey has answered the challenge, and by which methods; raises CeremonyFailed."""
        passkey = await passkeys.find_by_credential(self._database, presented.credential_id)
        if passkey is None:
            raise CeremonyFailed
        asserted = ceremonies.check_assertion(self.party, text, challenge, passkey)
        if not await passkeys.advance(self._database, passkey.id, asserted.sign_count):
            await self._tell_of_copy(passkey)
            raise CeremonyFailed
        return passkey, _methods(passkey, asserted)

    async def _tell_of_copy(self, passkey: PasskeyRow) -> None:
        log.warning("passkey copied", user_id=str(passkey.user_id), passkey_id=str(passkey.id))
        event = NewEvent(
            type="PASSKEY_COPIED",
            user_id=passkey.user_id,
            address=calls.address(),
            details={"passkey_id": str(passkey.id)},
        )
        await audit_events.insert(self._database, event)


def _methods(passkey: PasskeyRow, asserted: Asserted) -> tuple[str, ...]:
    """RFC 8176: one that has verified its user is two factors, what they have and what they are or know."""
    kind = SOFTWARE_KEY if passkey.synced else HARDWARE_KEY
    return (kind, PRESENCE, TWO_FACTORS) if asserted.user_verified else (kind, PRESENCE)
