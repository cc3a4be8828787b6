"""What an account has beside its password, and the codes for the day when that is lost."""

from auth_service import recovery_codes
from auth_service.errors import SecondFactorNotFound
from auth_service.models import FactorChange, SecondFactors
from auth_service.proofs import Proofs
from auth_service.store import recovery_codes as code_rows
from auth_service.store import second_factors
from shared import calls
from shared.calls import Principal
from shared.db import Database


class Factors:
    """The overview of second factors, and recovery codes."""

    def __init__(self, database: Database, proofs: Proofs) -> None:
        """Read and change in Postgres."""
        self._database, self._proofs = database, proofs

    async def find(self, principal: Principal) -> SecondFactors:
        """What the caller has."""
        return await second_factors.find(self._database, principal.user_id)

    async def regenerate_recovery_codes(self, principal: Principal) -> list[str]:
        """New recovery codes; the former ones are void."""
        await self._proofs.demand_two(principal)
        codes = recovery_codes.generate()
        change = FactorChange(user_id=principal.user_id, session_id=principal.session_id, address=calls.address())
        digests = [recovery_codes.digest(principal.user_id, code) for code in codes]
        if not await code_rows.replace(self._database, change, digests):
            raise SecondFactorNotFound
        return codes
