"""Log-ins by a mailed link or code: one factor, which proves the address as well."""

from typing import Final

from auth_service.admissions import Admissions
from auth_service.errors import OneTimeCodeInvalid
from auth_service.mailed_codes import MailedCodes
from auth_service.models import Challenge, Proven, SignedIn
from auth_service.one_time_codes import Proof, Purpose
from auth_service.store import users
from shared.db import Database

_BY_MAIL: Final = ("otp",)  # RFC 8176 section 2


class LinkLogIns:
    """Log-ins without a password, for whoever reads the mail of an account."""

    def __init__(self, database: Database, codes: MailedCodes, admissions: Admissions) -> None:
        """Send and take back with `codes`, begin sessions with `admissions`."""
        self._database, self._codes, self._admissions = database, codes, admissions

    async def request(self, email: str) -> str:
        """Send a code to whoever has the address; the request token, whether anybody has it or not."""
        return await self._codes.request(Purpose.LOG_IN, email)

    async def log_in(self, proof: Proof, device_label: str) -> SignedIn | Challenge:
        """A session, or a challenge where the account has a second factor; raises OneTimeCodeInvalid."""
        code = await self._codes.find(Purpose.LOG_IN, proof)
        user = (await users.find_many(self._database, [code.user_id])).get(code.user_id)
        if user is None or user.email != code.email:
            raise OneTimeCodeInvalid
        await self._codes.consume(self._database, Purpose.LOG_IN, code)
        admitted = await self._admissions.admit(Proven(user=user, methods=_BY_MAIL), device_label)
        if admitted is None:
            raise OneTimeCodeInvalid
        return admitted
