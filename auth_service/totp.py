"""Authenticator apps: how one is enrolled, put to use and given up."""

from datetime import timedelta
from typing import Final

from auth_service import recovery_codes, totp_codes
from auth_service.directory import Directory
from auth_service.errors import SecondFactorInvalid, SecondFactorNotFound
from auth_service.models import (
    ONE_TIME_CODE,
    Caller,
    FactorChange,
    FactorProof,
    RevokeReason,
    Strengthened,
    TotpEnrolment,
    with_second,
)
from auth_service.proofs import Proofs
from auth_service.sessions import Sessions
from auth_service.store import second_factors, totp_secrets
from shared import calls
from shared.crypto import SealingKeys
from shared.db import Database

ENROLMENT_LIFETIME: Final = timedelta(minutes=10)


class Totp:
    """Enrolment of authenticator apps."""

    def __init__(
        self,
        database: Database,
        directory: Directory,
        sessions: Sessions,
        proofs: Proofs,
        *,
        sealing: SealingKeys,
        app_name: str,
    ) -> None:
        """`sealing` seals the secrets; `app_name` is what stands beside the code in an authenticator."""
        self._database, self._directory, self._sessions, self._proofs = database, directory, sessions, proofs
        self._sealing, self._app_name = sealing, app_name

    async def enroll(self, caller: Caller) -> TotpEnrolment:
        """A new secret, which counts from its confirmation on."""
        await self._proofs.demand_two(caller)
        secret = totp_codes.new_secret()
        sealed = self._sealing.seal(secret.encode(), caller.user_id.bytes)
        expire_time = await totp_secrets.enroll(self._database, caller.user_id, sealed, ENROLMENT_LIFETIME)
        uri = totp_codes.uri(secret, caller.user.email, self._app_name)
        return TotpEnrolment(secret=secret, uri=uri, expire_time=expire_time)

    async def confirm(self, caller: Caller, code: str, *, revoke_others: bool) -> list[str]:
        """Put the enrolled app to use; the recovery codes that come with the account's first second factor."""
        codes = recovery_codes.generate()
        first = await self._activate(caller, code, [recovery_codes.digest(caller.user_id, each) for each in codes])
        await self._directory.forget_sessions([caller.session_id])
        if revoke_others:
            await self._sessions.revoke_others(caller, RevokeReason.FACTOR_CHANGED)
        return codes if first else []

    async def disable(self, caller: Caller, proof: FactorProof) -> None:
        """Do without the app; whoever asks must prove a factor again."""
        await self._proofs.demand_two(caller)
        if (await second_factors.find(self._database, caller.user_id)).totp_confirm_time is None:
            raise SecondFactorNotFound
        await self._proofs.check(caller.user_id, caller.user.email, proof)
        if not await totp_secrets.disable(self._database, _change(caller)):
            raise SecondFactorNotFound

    async def _activate(self, caller: Caller, code: str, digests: list[bytes]) -> bool:
        row = await totp_secrets.find(self._database, caller.user_id)
        if row is None or row.pending_sealed is None:
            raise SecondFactorNotFound
        sealed = row.pending_sealed

        async def check() -> int | None:
            return totp_codes.matching_step(self._sealing.unseal(sealed, caller.user_id.bytes), code)

        step = await self._proofs.guess(caller.user_id, caller.user.email, check)
        if step is None:
            raise SecondFactorInvalid
        session = Strengthened(
            auth_methods=with_second(caller.auth_methods, (ONE_TIME_CODE,)),
            stale=f"{self._directory.session_key_prefix}{caller.session_id}",
        )
        first = await totp_secrets.confirm(
            self._database, _change(caller), session, sealed=sealed, step=step, code_digests=digests
        )
        if first is None:
            raise SecondFactorNotFound
        return first


def _change(caller: Caller) -> FactorChange:
    return FactorChange(user_id=caller.user_id, session_id=caller.session_id, address=calls.address())
