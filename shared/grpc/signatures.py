"""What can be told of an access token without asking anybody: with a copy of auth's public keys, kept up to date."""

import asyncio
from collections.abc import Sequence
from typing import Final

from shared import clock, metrics
from shared.access_tokens import Claims, TokenChecker, TokenRefused, UnknownKey
from shared.background import Background
from shared.batch import Batcher
from shared.errors import ServiceError, Unauthenticated
from shared.grpc.auth_client import AuthClient, PublicKeys
from shared.grpc.feed import Beat

# Tokens of Parley's that are no JWTs begin so; only auth can tell what they are worth.
OPAQUE: Final = "parley_"
_PAUSE_SECONDS: Final = 1.0


class Signatures:
    """Checks signatures, times and audience, as long as the copy is of the version that the last heartbeat named.

    So a key that auth withdraws counts no more from that heartbeat on, whatever becomes of the fetch of the new set.
    """

    def __init__(self, auth: AuthClient, audience: str, background: Background) -> None:
        """Check nothing before the first heartbeat and the first key set."""
        self._auth, self._audience, self._background = auth, audience, background
        self._keys = PublicKeys(keys={}, version="", issuer="", max_age=0.0)
        self._checker = TokenChecker(self._keys.issuer, audience)
        self._told = ""
        self._begun = float("-inf")
        self._fetches: Batcher[None, None] = Batcher("key set", self._fetch_for_all)
        self.ready = asyncio.Event()

    def claims(self, access_token: str) -> Claims | None:
        """What a good token says, None where auth has to be asked; raises Unauthenticated, or UnknownKey."""
        if access_token.startswith(OPAQUE) or not self._current:
            return None
        try:
            return self._checker.check(access_token, self._keys.keys)
        except UnknownKey:
            raise
        except TokenRefused as refused:
            raise Unauthenticated(inactive_reason=refused.refusal.value) from None

    async def claims_by_newer_keys(self, access_token: str) -> Claims | None:
        """The same of a token whose key was not known, once there is a newer key set."""
        try:
            return self.claims(access_token) if await self._renew() else None
        except UnknownKey:
            return None

    def hear(self, beat: Beat) -> None:
        """Learn which version of the key set counts, and auth's clock, by which tokens expire."""
        self._told, self._checker.ahead = beat.key_set_version, beat.ahead
        if not self._current or clock.monotonic() - self._begun >= self._keys.max_age:
            self._background.spawn("key set", self._renew())

    @property
    def _current(self) -> bool:
        return self._keys.version == self._told != ""

    async def _renew(self) -> bool:
        """Fetch the set, at most once a second whoever asks; False where that was not possible."""
        if clock.monotonic() - self._begun < _PAUSE_SECONDS:
            return False
        try:
            await self._fetches.submit(None)
        except ServiceError:
            return False
        return self._current

    async def _fetch_for_all(self, waiting: Sequence[None]) -> Sequence[None]:
        if clock.monotonic() - self._begun >= _PAUSE_SECONDS:
            self._begun = clock.monotonic()
            with metrics.key_set_fetches.labels("failed").count_exceptions():
                self._adopt(await self._auth.public_keys())
            metrics.key_set_fetches.labels("fetched").inc()
        return waiting

    def _adopt(self, keys: PublicKeys) -> None:
        if keys.issuer != self._keys.issuer:
            self._checker = TokenChecker(keys.issuer, self._audience, self._checker.ahead)
        self._keys = keys
        if self._current:
            self.ready.set()
