"""Rate limits on what checks a secret. What counts against an account is failure; a right password clears it.

An account under attack stays open to its owner: failures are first counted for the account together with the address
they come from, and the wider budget of the account alone does not bind an address that it has signed in from.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from shared.errors import RateLimited
from shared.ratelimit import Limit, RateLimiter

_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
# NIST SP 800-63B-4 section 3.2.2 allows at most 100 consecutive failures; two windows may follow each other at once.
_PAIR_FAILURES: Final = Limit(name="failures_by_account_and_address", amount=10, seconds=15 * _MINUTE)
_ACCOUNT_FAILURES: Final = Limit(name="failures_by_account", amount=45, seconds=24 * _HOUR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Volumes:
    """How many attempts one address may make, right or wrong."""

    sign_ups_per_hour: int
    log_ins_per_minute: int


class AuthLimits:
    """The limits of sign-up and log-in."""

    def __init__(self, limiter: RateLimiter, volumes: Volumes) -> None:
        """Count with a limiter that replicas share."""
        self._limiter = limiter
        self._sign_ups = Limit(name="sign_ups_by_address", amount=volumes.sign_ups_per_hour, seconds=_HOUR)
        self._log_ins = Limit(name="log_ins_by_address", amount=volumes.log_ins_per_minute, seconds=_MINUTE)

    async def admit_sign_up(self, address: str) -> None:
        """Count a sign-up of an address; raises RateLimited."""
        await self._limiter.take(self._sign_ups, address)

    async def admit_log_in(self, address: str) -> None:
        """Count a log-in of an address; raises RateLimited."""
        await self._limiter.take(self._log_ins, address)

    async def check_failures(self, email: str, address: str, known: Callable[[], Awaitable[bool]]) -> None:
        """Raise RateLimited where too many passwords were wrong; `known` says whether the address is the owner's."""
        await self._limiter.check(_PAIR_FAILURES, email, address)
        try:
            await self._limiter.check(_ACCOUNT_FAILURES, email)
        except RateLimited:
            if not await known():
                raise

    async def count_failure(self, email: str, address: str) -> None:
        """Note a wrong password; an unknown account is counted like a known one."""
        await self._limiter.count(_PAIR_FAILURES, email, address)
        await self._limiter.count(_ACCOUNT_FAILURES, email)

    async def forgive(self, email: str, address: str) -> None:
        """A right password ends the count of the consecutive wrong ones."""
        await self._limiter.forgive(_PAIR_FAILURES, email, address)
        await self._limiter.forgive(_ACCOUNT_FAILURES, email)
