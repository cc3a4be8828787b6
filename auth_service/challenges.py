"""Log-ins that lack their second factor: how they are completed."""

from auth_service import challenge_tokens
from auth_service.admissions import Admissions
from auth_service.errors import ChallengeInvalid
from auth_service.limits import AuthLimits
from auth_service.models import FactorProof, Proven, SignedIn, with_second
from auth_service.proofs import Proofs
from auth_service.store import log_in_challenges
from shared import calls
from shared.db import Database


class Challenges:
    """Exchanges challenges for sessions."""

    def __init__(self, database: Database, limits: AuthLimits, proofs: Proofs, admissions: Admissions) -> None:
        """Check with `proofs`, begin sessions with `admissions`."""
        self._database, self._limits, self._proofs, self._admissions = database, limits, proofs, admissions

    async def complete(self, challenge_token: str, proof: FactorProof) -> SignedIn:
        """A session of two factors; raises ChallengeInvalid, SecondFactorInvalid or RateLimited."""
        await self._limits.admit_log_in(calls.address())
        token = challenge_tokens.read(challenge_token)
        pending = await log_in_challenges.attempt(self._database, token) if token else None
        if token is None or pending is None:
            raise ChallengeInvalid
        second = await self._proofs.check(
            pending.user_id, pending.email, proof, passkey_challenge=token.passkey_challenge
        )
        user = await log_in_challenges.consume(self._database, token)
        if user is None:
            raise ChallengeInvalid
        proven = Proven(
            user=user,
            methods=with_second(pending.auth_methods, second),
            password_change_time=pending.password_change_time,
        )
        signed_in = await self._admissions.begin(proven, pending.device_label)
        if signed_in is None:
            raise ChallengeInvalid
        return signed_in
