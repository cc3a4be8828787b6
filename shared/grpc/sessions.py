"""Where it is known whether the session of a good token still stands: in the revocation feed, or the shared cache."""

from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import Final, NamedTuple, Protocol
from uuid import UUID

from shared import clock, identity, machine_secrets, metrics
from shared.access_tokens import Claims, Refusal, TokenRefused
from shared.cache import CachedEntries, CacheView, Replies
from shared.calls import Principal
from shared.errors import Unauthenticated, Unavailable
from shared.grpc.feed import RevocationFeed
from shared.identity import Objection, Session, User
from shared.machine_secrets import Presented

_ASK_AGAIN_SECONDS: Final = 60.0
_KNOWN_KEYS: Final = 50_000
_REMEMBERED: Final = 8_192


class Sessions(Protocol):
    """One source of the state of sessions."""

    async def principal(self, claims: Claims) -> Principal | None:
        """Who is calling, or None where only auth can tell; raises Unauthenticated."""


class WhenSilent(Enum):
    """What to do while nothing is heard from auth: ask it about each token, or refuse them all."""

    ASK = "ask"
    REFUSE = "refuse"


class FedSessions:
    """What is not in the feed stands as the token says it."""

    def __init__(self, feed: RevocationFeed, when_silent: WhenSilent, source: str) -> None:
        """`source` names it in the metrics."""
        self._feed, self._when_silent = feed, when_silent
        self._good = metrics.token_sources.labels(source)

    async def principal(self, claims: Claims) -> Principal | None:
        """Who is calling, with the roles of the token; raises Unavailable where silence is to be refused."""
        feed, actor = self._feed, claims.actor
        if feed.ended(claims.session_id) or (actor and feed.ended(actor.session_id)):
            raise Unauthenticated(inactive_reason=Objection.REVOKED)
        if feed.silent:
            if self._when_silent is WhenSilent.REFUSE:
                raise Unavailable(retry_after=1.0)
            return None
        if feed.changed(claims.session_id, claims.user_id):
            return None
        if actor and feed.changed(actor.session_id, actor.user_id):
            return None
        self._good.inc()
        return claims.principal


class _Judged(NamedTuple):
    """What was found of a token when these were the replies, and until when the same replies mean the same."""

    claims: Claims
    keys: Sequence[str]
    replies: Replies
    principal: Principal
    until: datetime


class CachedSessions:
    """What auth has put into the shared cache, under the cache's own rules: as strict as auth, in every state of Redis.

    It neither fills nor changes anything: auth, asked about what is missing, fills. Redis is asked each time; the same
    bytes under the same epoch mean the same as before, so that they need not be read again.
    """

    def __init__(self, cache: CacheView) -> None:
        """Read through a view of the cache."""
        self._cache = cache
        self._sessions = CachedEntries(identity.SESSION_KEY_KIND, Session, identity.SESSION_SHAPE)
        self._users = CachedEntries(identity.USER_KEY_KIND, User, identity.USER_SHAPE)
        self._judged: dict[str, _Judged] = {}
        self._good = metrics.token_sources.labels("cache")

    async def principal(self, claims: Claims) -> Principal | None:
        """Who is calling, with the roles of this moment; all look-ups travel together."""
        known = self._judged.get(claims.token_id)
        if known is not None and known.claims is not claims:
            known = None
        keys = self._keys(claims) if known is None else known.keys
        replies = await self._cache.look_up(keys)
        if known is not None and known.replies == replies and clock.now() < known.until:
            self._sessions.count_hit()
            self._users.count_hit()
            self._good.inc()
            return known.principal
        return self._judge(claims, keys, replies)

    async def holder(self, presented: Presented, user_id: UUID) -> Principal | None:
        """The user who holds an API key, if what is presented is its secret; None where only auth can tell."""
        keys = [self._sessions.key(presented.session_id), self._users.key(user_id)]
        replies = await self._cache.look_up(keys)
        session, user = self._pair(keys, replies.values, replies.epoch)
        if session is None or user is None:
            return None
        if not presented.opens(session):
            raise Unauthenticated(inactive_reason=Refusal.INVALID)
        if identity.objection(user_id, session, user):
            return None  # auth says best why
        self._good.inc()
        return Principal.of(session, user, session.expire_time)

    def _keys(self, claims: Claims) -> Sequence[str]:
        """A session and its user; of who acts for another also those of their own."""
        keys = [self._sessions.key(claims.session_id), self._users.key(claims.user_id)]
        if claims.actor is not None:
            keys += [self._sessions.key(claims.actor.session_id), self._users.key(claims.actor.user_id)]
        return keys

    def _judge(self, claims: Claims, keys: Sequence[str], replies: Replies) -> Principal | None:
        pairs = [
            self._pair(keys[at : at + 2], replies.values[at : at + 2], replies.epoch) for at in range(0, len(keys), 2)
        ]
        owners = [claims.user_id] if claims.actor is None else [claims.user_id, claims.actor.user_id]
        standing: list[tuple[Session, User]] = []
        for owner, (session, user) in zip(owners, pairs, strict=True):
            if session is None or user is None:
                return None
            objection = identity.objection(owner, session, user)
            if objection is not None:
                raise Unauthenticated(inactive_reason=objection)
            standing.append((session, user))
        principal = _principal_now(claims, *standing[0])
        until = min(session.expire_time for session, _ in standing)
        if len(self._judged) >= _REMEMBERED:
            self._judged.clear()
        self._judged[claims.token_id] = _Judged(claims, keys, replies, principal, until)
        self._good.inc()
        return principal

    def _pair(
        self, keys: Sequence[str], raws: Sequence[bytes | None], epoch: str | None
    ) -> tuple[Session | None, User | None]:
        return self._sessions.found(keys[0], raws[0], epoch), self._users.found(keys[1], raws[1], epoch)


def _principal_now(claims: Claims, session: Session, user: User) -> Principal:
    try:
        return claims.principal_now(session, user)
    except TokenRefused as refused:
        raise Unauthenticated(inactive_reason=refused.refusal) from None


class CachedKeys:
    """API keys, by the digests of their secrets in the shared cache, under the same rules.

    Auth is asked about each key once a minute: it says whether the key is for this service, and notes that it is used.
    """

    def __init__(self, cached: CachedSessions) -> None:
        """Read what is read of sessions."""
        self._cached = cached
        self._known: dict[UUID, tuple[UUID, float]] = {}

    async def principal(self, text: str) -> Principal | None:
        """Who is calling, or None where auth is to be asked; raises Unauthenticated."""
        presented = machine_secrets.read(text)
        if presented is None:
            raise Unauthenticated(inactive_reason=Refusal.MALFORMED)
        user_id, asked = self._known.get(presented.session_id, (None, float("-inf")))
        if user_id is None or clock.monotonic() - asked >= _ASK_AGAIN_SECONDS:
            return None
        return await self._cached.holder(presented, user_id)

    def learn(self, principal: Principal) -> None:
        """What auth has said of a key just now."""
        if len(self._known) >= _KNOWN_KEYS:
            self._known.clear()
        self._known[principal.session_id] = (principal.user_id, clock.monotonic())
