"""Whether a second factor is the right one: each code is good once, and guesses are bounded, also in a burst."""

from collections.abc import Awaitable, Callable
from typing import Final, assert_never
from uuid import UUID

from auth_service import ceremonies, recovery_codes, totp_codes
from auth_service.ceremonies import CeremonyFailed
from auth_service.errors import SecondFactorInvalid
from auth_service.limits import AuthLimits
from auth_service.models import ONE_TIME_CODE, FactorProof, SecondFactor
from auth_service.passkey_checks import PasskeyChecks
from auth_service.store import audit_events, log_in_failures, second_factors, sessions, totp_secrets
from auth_service.store import recovery_codes as code_rows
from auth_service.store.audit_events import NewEvent
from auth_service.store.passkey_challenges import CeremonyPurpose
from shared import calls, crypto
from shared.calls import Principal
from shared.crypto import SealingKeys
from shared.db import Database
from shared.errors import StepUpRequired

_TWO: Final = 2


class Proofs:
    """Checks second factors."""

    def __init__(
        self, database: Database, limits: AuthLimits, passkeys: PasskeyChecks, sealing: SealingKeys, key: bytes
    ) -> None:
        """`sealing` opens the secrets of authenticator apps; `key` hashes the users whose failures are kept."""
        self._database, self._limits, self._passkeys = database, limits, passkeys
        self._sealing, self._key = sealing, key

    async def check(
        self, user_id: UUID, email: str, proof: FactorProof, *, passkey_challenge: bytes | None = None
    ) -> tuple[str, ...]:
        """The methods that were proven; raises SecondFactorInvalid or RateLimited.

        A passkey answers the challenge that is given, or one that the user has asked for.
        """
        methods: tuple[str, ...] = ()
        match proof.kind:
            case SecondFactor.TOTP:
                step = await self.guess(user_id, email, lambda: self._use_totp_code(user_id, proof.text))
                methods = () if step is None else (ONE_TIME_CODE,)
            case SecondFactor.RECOVERY_CODE:
                methods = (ONE_TIME_CODE,) if await self._use_recovery_code(user_id, proof.text) else ()
            case SecondFactor.PASSKEY:
                methods = await self._ask_passkey(user_id, proof.text, passkey_challenge)
            case _:
                assert_never(proof.kind)
        if not methods:
            failed = NewEvent(type="SECOND_FACTOR_FAILED", user_id=user_id, address=calls.address())
            await audit_events.insert(self._database, failed)
            raise SecondFactorInvalid
        return methods

    async def demand_two(self, principal: Principal) -> None:
        """Raise StepUpRequired where a session of one factor would change an account that has two."""
        if principal.assurance < _TWO and (await second_factors.find(self._database, principal.user_id)).required:
            raise StepUpRequired(assurance_level=_TWO)

    async def guess(self, user_id: UUID, email: str, check: Callable[[], Awaitable[int | None]]) -> int | None:
        """Check a code that can be guessed, within the budget of the account; raises RateLimited.

        `check` answers with the time step of a right code, and with None for a wrong one.
        """
        account, address = crypto.mac(self._key, b"second factor\n" + user_id.bytes), calls.address()

        async def known() -> bool:
            return await sessions.signed_in_from(self._database, email, address)

        failures = await log_in_failures.find(self._database, account)
        await self._limits.take_code(user_id, address, failures, known)
        step = await check()
        if step is None:
            await log_in_failures.count(self._database, account)
            return None
        await self._limits.forgive_codes(user_id, address)
        if failures:
            await log_in_failures.delete(self._database, account)
        return step

    async def _use_totp_code(self, user_id: UUID, code: str) -> int | None:
        row = await totp_secrets.find(self._database, user_id)
        if row is None or row.secret_sealed is None or row.confirm_time is None:
            return None
        step = totp_codes.matching_step(self._sealing.unseal(row.secret_sealed, user_id.bytes), code)
        if step is None or not await totp_secrets.advance(self._database, user_id, step, row.confirm_time):
            return None
        return step

    async def _ask_passkey(self, user_id: UUID, credential: str, challenge: bytes | None) -> tuple[str, ...]:
        try:
            presented = ceremonies.read_assertion(credential)
            if challenge is None:
                asked = await self._passkeys.consume(CeremonyPurpose.PROOF, presented.challenge, user_id)
                challenge = presented.challenge if asked else None
            if challenge is None:
                return ()
            passkey, methods = await self._passkeys.check(credential, challenge, presented)
        except CeremonyFailed:
            return ()
        return methods if passkey.user_id == user_id else ()

    async def _use_recovery_code(self, user_id: UUID, code: str) -> bool:
        digest = recovery_codes.digest(user_id, code)
        return await code_rows.use(self._database, user_id, digest, address=calls.address())
