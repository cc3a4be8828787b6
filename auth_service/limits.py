"""Rate limits on what checks a secret. What counts against an account is failure; a right password clears it.

An account under attack stays open to its owner: failures are first counted for the account together with the address
they come from, and the wider budgets of the account alone do not bind an address that it has signed in from. Addresses
are counted by neighbourhood: an IPv6 customer has 2^64 of them.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from shared.errors import RateLimited
from shared.proxies import neighbourhood
from shared.ratelimit import Limit, RateLimiter

_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_PAIR_FAILURES: Final = Limit(name="failures_by_account_and_address", amount=10, seconds=15 * _MINUTE)
_ACCOUNT_FAILURES: Final = Limit(name="failures_by_account", amount=45, seconds=24 * _HOUR)
_MAILS: Final = Limit(name="mails_by_account", amount=5, seconds=_HOUR)
# NIST SP 800-63B-4 section 3.2.2 allows at most 100 consecutive failures; some may be under way when the last is noted.
CONSECUTIVE_FAILURES: Final = 90
# A code of six digits can be guessed. A recovery code and a passkey cannot: they have no budget that an attacker could
# use up, and let the owner in at any time.
_PAIR_CODES: Final = Limit(name="codes_by_account_and_address", amount=10, seconds=15 * _MINUTE)
_ACCOUNT_CODES: Final = Limit(name="codes_by_account", amount=45, seconds=24 * _HOUR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Volumes:
    """How many attempts one address may make, right or wrong, and how many wrong ones with one method."""

    sign_ups_per_hour: int
    log_ins_per_minute: int
    failures_per_minute: int
    mails_per_hour: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """Who tries a password, and how many have been wrong since the last right one."""

    email: str
    address: str
    failures: int


class AuthLimits:
    """The limits of sign-up and log-in, and the one that every method with a secret has."""

    def __init__(self, limiter: RateLimiter, volumes: Volumes) -> None:
        """Count with a limiter that replicas share."""
        self._limiter = limiter
        self._sign_ups = Limit(name="sign_ups_by_address", amount=volumes.sign_ups_per_hour, seconds=_HOUR)
        self._log_ins = Limit(name="log_ins_by_address", amount=volumes.log_ins_per_minute, seconds=_MINUTE)
        self._mails = Limit(name="mails_by_address", amount=volumes.mails_per_hour, seconds=_HOUR)
        self._failures = Limit(name="failures_by_address", amount=volumes.failures_per_minute, seconds=_MINUTE)

    async def admit_sign_up(self, address: str) -> None:
        """Count a sign-up of an address; raises RateLimited."""
        await self._limiter.take(self._sign_ups, neighbourhood(address))

    async def admit_log_in(self, address: str) -> None:
        """Count a log-in of an address; raises RateLimited."""
        await self._limiter.take(self._log_ins, neighbourhood(address))

    async def admit_mail(self, email: str, address: str) -> None:
        """Count a mail that an address asks for; raises RateLimited, also for an email that nobody has."""
        await self._limiter.take(_MAILS, email)
        await self._limiter.take(self._mails, neighbourhood(address))

    async def admit_secret(self, method: str, address: str) -> None:
        """Raise RateLimited where an address has presented too many wrong secrets to a method."""
        await self._limiter.check(self._failures, method, neighbourhood(address))

    async def count_wrong_secret(self, method: str, address: str) -> None:
        """Note a wrong secret."""
        await self._limiter.count(self._failures, method, neighbourhood(address))

    async def check_failures(self, attempt: Attempt, known: Callable[[], Awaitable[bool]]) -> None:
        """Raise RateLimited where too many passwords were wrong; `known` says whether the address is the owner's."""
        email = attempt.email
        pair = self._limiter.check(_PAIR_FAILURES, email, neighbourhood(attempt.address))
        _, over = await asyncio.gather(pair, self._over(email))
        if over is None and attempt.failures >= CONSECUTIVE_FAILURES:
            over = RateLimited(limit="consecutive_failures_by_account", retry_after=_HOUR)
        if over is not None and not await known():
            raise over

    async def count_failure(self, email: str, address: str) -> None:
        """Note a wrong password; an unknown account is counted like a known one."""
        await asyncio.gather(
            self._limiter.count(_PAIR_FAILURES, email, neighbourhood(address)),
            self._limiter.count(_ACCOUNT_FAILURES, email),
        )

    async def forgive(self, email: str, address: str) -> None:
        """A right password ends the count of the consecutive wrong ones."""
        await asyncio.gather(
            self._limiter.forgive(_PAIR_FAILURES, email, neighbourhood(address)),
            self._limiter.forgive(_ACCOUNT_FAILURES, email),
        )

    async def take_code(self, user_id: UUID, address: str, failures: int, known: Callable[[], Awaitable[bool]]) -> None:
        """Count a one-time code before it is checked, so that a burst gets no more of them; raises RateLimited."""
        await self._limiter.take(_PAIR_CODES, str(user_id), neighbourhood(address))
        try:
            await self._limiter.take(_ACCOUNT_CODES, str(user_id))
            if failures >= CONSECUTIVE_FAILURES:
                raise RateLimited(limit="consecutive_codes_by_account", retry_after=_HOUR)
        except RateLimited:
            if not await known():
                raise

    async def forgive_codes(self, user_id: UUID, address: str) -> None:
        """A right code ends the count of the wrong ones before it."""
        await asyncio.gather(
            self._limiter.forgive(_PAIR_CODES, str(user_id), neighbourhood(address)),
            self._limiter.forgive(_ACCOUNT_CODES, str(user_id)),
        )

    async def _over(self, email: str) -> RateLimited | None:
        try:
            await self._limiter.check(_ACCOUNT_FAILURES, email)
        except RateLimited as over:
            return over
        return None
