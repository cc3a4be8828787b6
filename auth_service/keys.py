"""The keys that sign access tokens and that they are checked with, as this process knows them (DESIGN 5.2).

A key is PUBLISHED, then SIGNING, then RETIRING, then REMOVED; `key_rotation.py` moves it on. What holds at all times:

1. Everybody accepts a key before anybody signs with it. It is published for an OVERLAP, many times as long as a process
   goes without a reading and as a client may keep the set (JWKS_MAX_AGE). Who has not read for so long signs nothing.
2. A key is accepted until the last token that it signed has expired: it retires for the longest life of a token, the
   leeway, and an OVERLAP more for whoever had not read that another signs now.
3. One key signs. A unique index says so, and changes of the set go one after the other.
4. A removed key is accepted nowhere. A reading counts for FRESH_SECONDS; past it a process asks whether the set has
   changed before it checks a token. So once a removal is that old no process accepts the key, whatever it remembers of
   its tokens: a remembered token counts only while its key is in the set (`shared/access_tokens.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from typing import Final

import orjson
import structlog

from auth_service import private_keys
from auth_service.models import KeyState, SigningKeyRow
from auth_service.private_keys import PrivateKey
from auth_service.store import signing_keys
from shared import clock, jwks, metrics
from shared.background import Background
from shared.batch import Batcher
from shared.config import Unusable
from shared.crypto import SealingKeys
from shared.db import Executor
from shared.errors import Unavailable
from shared.jwks import PublicKey

log = structlog.get_logger()

FRESH_SECONDS: Final = 1.0
JWKS_MAX_AGE: Final = timedelta(seconds=30)
OVERLAP: Final = timedelta(minutes=5)
_POLL_SECONDS: Final = 0.4
_VERSION_LENGTH: Final = 16


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The key that signs now."""

    kid: str
    algorithm: str
    private: PrivateKey = field(repr=False)


class Keys:
    """What signs, and what checks."""

    def __init__(self, executor: Executor, sealing: SealingKeys, overlap: timedelta = OVERLAP) -> None:
        """Know no key before `start`. The executor must not wait behind callers."""
        self._executor, self._sealing, self._overlap = executor, sealing, overlap.total_seconds()
        self._signing: SigningKey | None = None
        self._read_time = float("-inf")
        self._readings: Batcher[None, None] = Batcher("signing keys", self._read_for_all)
        self._count = 0
        self.public: dict[str, PublicKey] = {}
        self.jwks: list[dict[str, str]] = []
        self.version = ""

    async def start(self, background: Background) -> None:
        """Read the keys, and go on; raises Unusable where the master key does not open the one that signs."""
        await self.refresh()
        if self._signing is None:
            raise Unusable("master_key", "is not the key that the signing keys in this database were sealed with")
        background.every(_POLL_SECONDS, "signing keys", self.refresh)

    @property
    def signing(self) -> SigningKey:
        """The key that signs; raises Unavailable where this process does not know for sure."""
        if self._signing is None or clock.monotonic() - self._read_time >= self._overlap:
            raise Unavailable(retry_after=1.0)
        return self._signing

    @property
    def fresh(self) -> bool:
        """Whether the reading counts; where it does not, `refresh` before a token is checked."""
        return clock.monotonic() - self._read_time < FRESH_SECONDS

    async def refresh(self) -> None:
        """Read whether the set has changed, and the set where it has; all who ask meanwhile share one reading."""
        await self._readings.submit(None)

    async def _read_for_all(self, asking: Sequence[None]) -> Sequence[None]:
        begun = clock.monotonic()
        if await signing_keys.count_changes(self._executor) != self._count:
            await self._adopt()
        self._read_time = begun
        return asking

    async def _adopt(self) -> None:
        count, rows = await signing_keys.list_accepted(self._executor)
        self.jwks = [row.public_jwk for row in rows]
        self.public = jwks.key_set(self.jwks)
        signing = next((self._open(row) for row in rows if row.state is KeyState.SIGNING), None)
        if signing is None and self._signing is not None:
            log.error("the key that signs now was sealed with another master key")
        self._signing = signing
        self.version = sha256(orjson.dumps(self.jwks, option=orjson.OPT_SORT_KEYS)).hexdigest()[:_VERSION_LENGTH]
        self._count = count
        for state in (KeyState.PUBLISHED, KeyState.SIGNING, KeyState.RETIRING):
            metrics.signing_keys.labels(state.value).set(sum(row.state is state for row in rows))

    def _open(self, row: SigningKeyRow) -> SigningKey | None:
        private = private_keys.unseal(row, self._sealing)
        return SigningKey(row.kid, row.algorithm, private) if private else None
