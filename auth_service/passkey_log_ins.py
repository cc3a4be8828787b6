"""Log-ins with a passkey alone: it names the account, and has verified its user, so that it is two factors."""

from auth_service import ceremonies
from auth_service.admissions import Admissions
from auth_service.ceremonies import CeremonyFailed
from auth_service.errors import PasskeyInvalid
from auth_service.limits import AuthLimits
from auth_service.models import PasskeyOptions, Proven, SignedIn
from auth_service.passkey_checks import PasskeyChecks
from auth_service.store import users
from auth_service.store.passkey_challenges import CeremonyPurpose
from shared import calls
from shared.db import Database


class PasskeyLogIns:
    """Log-ins without a password."""

    def __init__(self, database: Database, limits: AuthLimits, checks: PasskeyChecks, admissions: Admissions) -> None:
        """Ask and check with `checks`, begin sessions with `admissions`."""
        self._database, self._limits, self._checks, self._admissions = database, limits, checks, admissions

    async def begin(self, email: str | None) -> PasskeyOptions:
        """What a browser needs to ask for any passkey; an email, which anybody may have, tells nothing of accounts."""
        await self._limits.admit_log_in(calls.address())
        challenge, expire_time = await self._checks.new_challenge(CeremonyPurpose.LOG_IN, email=email)
        json = ceremonies.request_options(self._checks.party, challenge, [], alone=True)
        return PasskeyOptions(json=json, expire_time=expire_time)

    async def finish(self, credential: str, device_label: str) -> SignedIn:
        """A session for whoever the passkey belongs to; raises PasskeyInvalid, which never says why."""
        await self._limits.admit_log_in(calls.address())
        try:
            proven = await self._prove(credential)
        except CeremonyFailed:
            raise PasskeyInvalid from None
        signed_in = await self._admissions.begin(proven, device_label)
        if signed_in is None:
            raise PasskeyInvalid
        return signed_in

    async def _prove(self, credential: str) -> Proven:
        presented = ceremonies.read_assertion(credential)
        asked = await self._checks.consume(CeremonyPurpose.LOG_IN, presented.challenge, None)
        if asked is None or presented.user_handle is None:
            raise CeremonyFailed
        passkey, methods = await self._checks.check(credential, presented.challenge, presented)
        user = (await users.find_many(self._database, [passkey.user_id])).get(passkey.user_id)
        if user is None or asked.email not in (None, user.email):
            raise CeremonyFailed
        # One that has not verified its user is one factor, with which no session begins.
        return Proven(user=user, methods=methods)
