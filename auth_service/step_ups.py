"""Step-up: a user who is signed in proves again who they are, and gets a new session in place of the present one."""

from dataclasses import dataclass, field

from auth_service.admissions import Admissions
from auth_service.errors import InvalidCredentials, SecondFactorInvalid, SecondFactorRequired
from auth_service.limits import AuthLimits
from auth_service.models import Caller, FactorProof, Proven, SignedIn
from auth_service.password_checks import PasswordChecks
from auth_service.proofs import Proofs
from auth_service.store import second_factors, sessions
from shared import calls
from shared.db import Database
from shared.errors import Unauthenticated


@dataclass(frozen=True, slots=True, kw_only=True)
class Reauthentication:
    """What a user proves again: a password, a second factor, or both; `password` is empty where there is none."""

    password: str = field(repr=False)
    second: FactorProof | None


class StepUps:
    """Re-authentication."""

    def __init__(
        self, database: Database, limits: AuthLimits, checks: PasswordChecks, proofs: Proofs, admissions: Admissions
    ) -> None:
        """Check with the same care, and under the same limits, as a log-in."""
        self._database, self._limits, self._checks = database, limits, checks
        self._proofs, self._admissions = proofs, admissions

    async def reauthenticate(self, caller: Caller, command: Reauthentication) -> SignedIn:
        """A new session; the present one has ended."""
        await self._limits.admit_log_in(calls.address())
        proven = await self._prove(caller, command)
        present = (await sessions.find_many(self._database, [caller.session_id])).get(caller.session_id)
        label = present.device_label if present else ""
        signed_in = await self._admissions.replace(proven, label, caller.session_id)
        if signed_in is None:
            raise Unauthenticated
        return signed_in

    async def _prove(self, caller: Caller, command: Reauthentication) -> Proven:
        if command.second is None and (await second_factors.find(self._database, caller.user_id)).required:
            raise SecondFactorRequired
        if command.second is not None and not command.password:
            return await self._prove_by_passkey(caller, command.second)
        credentials = await self._checks.check(caller.user.email, command.password)
        if credentials is None or credentials.user.id != caller.user_id:
            raise InvalidCredentials
        second: tuple[str, ...] = ()
        if command.second is not None:
            second = await self._proofs.check(caller.user_id, caller.user.email, command.second)
        return Proven.by_password(credentials, second)

    async def _prove_by_passkey(self, caller: Caller, passkey: FactorProof) -> Proven:
        """A passkey alone is enough where it has verified its user."""
        proven = Proven(user=caller.user, methods=await self._proofs.check(caller.user_id, caller.user.email, passkey))
        if proven.assurance == 1:
            raise SecondFactorInvalid
        return proven
