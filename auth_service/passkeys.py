"""Passkeys: how they are added, listed, asked for and removed."""

from uuid import UUID

from auth_service import ceremonies, recovery_codes
from auth_service.ceremonies import CeremonyFailed
from auth_service.directory import Directory
from auth_service.errors import PasskeyNotFound, PasskeyNotRegistered, SecondFactorNotFound, TooManyPasskeys
from auth_service.models import (
    HARDWARE_KEY,
    PRESENCE,
    SOFTWARE_KEY,
    AddedPasskey,
    Caller,
    FactorChange,
    NewPasskey,
    Passkey,
    PasskeyOptions,
    RevokeReason,
    Strengthened,
    with_second,
)
from auth_service.passkey_checks import PasskeyChecks
from auth_service.proofs import Proofs
from auth_service.sessions import Sessions
from auth_service.store import passkeys
from auth_service.store.passkey_challenges import CeremonyPurpose
from shared import calls
from shared.calls import Principal
from shared.db import Database


class Passkeys:
    """The passkeys of the caller."""

    def __init__(
        self, database: Database, directory: Directory, sessions: Sessions, proofs: Proofs, checks: PasskeyChecks
    ) -> None:
        """Ask with `checks`; a session of one factor changes nothing, as `proofs` see to."""
        self._database, self._directory, self._sessions = database, directory, sessions
        self._proofs, self._checks = proofs, checks

    async def begin_registration(self, caller: Caller) -> PasskeyOptions:
        """What a browser needs to make a passkey."""
        await self._proofs.demand_two(caller)
        existing = await self._checks.credentials(caller.user_id)
        challenge, expire_time = await self._checks.new_challenge(CeremonyPurpose.REGISTRATION, user_id=caller.user_id)
        json = ceremonies.creation_options(self._checks.party, caller.user, challenge, existing)
        return PasskeyOptions(json=json, expire_time=expire_time)

    async def finish_registration(
        self, caller: Caller, credential: str, name: str, *, revoke_others: bool
    ) -> AddedPasskey:
        """Add what the authenticator has made, with recovery codes where it is the account's first second factor."""
        new = await self._made(caller, credential)
        codes = recovery_codes.generate()
        digests = [recovery_codes.digest(caller.user_id, code) for code in codes]
        added = await passkeys.insert(
            self._database, _change(caller), self._strengthened(caller, new), new, name=name, code_digests=digests
        )
        if added is None:
            raise TooManyPasskeys
        await self._directory.forget_sessions([caller.session_id])
        if revoke_others:
            await self._sessions.revoke_others(caller, RevokeReason.FACTOR_CHANGED)
        passkey, first = added
        return AddedPasskey(passkey=passkey, recovery_codes=codes if first else [])

    async def begin_proof(self, caller: Caller) -> PasskeyOptions:
        """What a browser needs to ask one of the caller's passkeys for a proof."""
        allowed = await self._checks.credentials(caller.user_id)
        if not allowed:
            raise SecondFactorNotFound
        challenge, expire_time = await self._checks.new_challenge(CeremonyPurpose.PROOF, user_id=caller.user_id)
        json = ceremonies.request_options(self._checks.party, challenge, allowed, alone=False)
        return PasskeyOptions(json=json, expire_time=expire_time)

    async def list_page(self, principal: Principal, after: UUID | None, limit: int) -> list[Passkey]:
        """The caller's passkeys in the order in which they were added."""
        return await passkeys.list_page(self._database, principal.user_id, after=after, limit=limit)

    async def delete(self, principal: Principal, passkey_id: UUID) -> None:
        """Remove one of the caller's passkeys."""
        await self._proofs.demand_two(principal)
        if not await passkeys.delete(self._database, _change(principal), passkey_id):
            raise PasskeyNotFound

    async def _made(self, caller: Caller, credential: str) -> NewPasskey:
        try:
            challenge = ceremonies.read_registration(credential)
            if await self._checks.consume(CeremonyPurpose.REGISTRATION, challenge, caller.user_id) is None:
                raise CeremonyFailed
            return ceremonies.check_registration(self._checks.party, credential, challenge)
        except CeremonyFailed:
            raise PasskeyNotRegistered from None

    def _strengthened(self, caller: Caller, new: NewPasskey) -> Strengthened:
        kind = SOFTWARE_KEY if new.synced else HARDWARE_KEY
        return Strengthened(
            auth_methods=with_second(caller.auth_methods, (kind, PRESENCE)),
            stale=f"{self._directory.session_key_prefix}{caller.session_id}",
        )


def _change(principal: Principal) -> FactorChange:
    return FactorChange(user_id=principal.user_id, session_id=principal.session_id, address=calls.address())
