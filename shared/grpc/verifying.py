"""For any Python service: who is calling, checked on the spot.

async with verifying(auth_target="auth:50051", audience="orders", key=service_key) as verifier:
    server = grpc.aio.server(interceptors=[VerifyingInterceptor(verifier)])
    ...

Handlers read `shared.calls.principal()`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Final

import structlog
from google.protobuf.descriptor import ServiceDescriptor

from shared.background import Background
from shared.cache import CacheView
from shared.config import TlsFiles
from shared.grpc import channels
from shared.grpc.access import EVERY_USER, CheckAccess, MethodRule, declared
from shared.grpc.auth_client import AuthClient
from shared.grpc.chain import Chain
from shared.grpc.errors import MapErrors
from shared.grpc.feed import Beat, RevocationFeed
from shared.grpc.sessions import CachedKeys, CachedSessions, FedSessions, WhenSilent
from shared.grpc.signatures import Signatures
from shared.grpc.verifier import LocalVerifier, RemoteVerifier, Verifier
from shared.proxies import TrustedProxies

log = structlog.get_logger()

_FIRST_SECONDS: Final = 2.0


class VerifyingInterceptor(Chain):
    """Lets in who has a good token, for all four kinds of calls, and refuses the others with our errors."""

    def __init__(
        self,
        verifier: Verifier,
        *,
        services: Sequence[ServiceDescriptor] = (),
        undeclared: MethodRule | None = EVERY_USER,
        domain: str = "parley",
    ) -> None:
        """Methods of `services` are open to whom their proto names (options/v1/access.proto).

        A method that declares nothing is open to every user, or to nobody where `undeclared` is None. `domain` is that
        of the errors' ErrorInfo.
        """
        rules = {path: rule for service in services for path, rule in declared(service).items()}
        super().__init__([MapErrors(domain), CheckAccess(rules, verifier, undeclared)], TrustedProxies(()))


@contextlib.asynccontextmanager
async def verifying(
    *,
    auth_target: str,
    audience: str,
    key: str,
    tls: TlsFiles | None = None,
    when_silent: WhenSilent = WhenSilent.ASK,
) -> AsyncIterator[LocalVerifier]:
    """A verifier for tokens of an audience, on the revocation feed; `key` is one of auth's service keys."""
    async with channels.connect(auth_target, tls) as channel, Background() as background:
        yield await on_feed(AuthClient(channel, key), audience, background, when_silent)


async def on_feed(
    auth: AuthClient, audience: str, background: Background, when_silent: WhenSilent = WhenSilent.ASK
) -> LocalVerifier:
    """A verifier that knows sessions from the revocation feed."""
    signatures = Signatures(auth, audience, background)
    feed = RevocationFeed(auth, signatures.hear)
    await _begin(feed, signatures, background)
    return LocalVerifier(signatures, FedSessions(feed, when_silent, "feed"), RemoteVerifier(auth, audience))


async def on_shared_cache(
    auth: AuthClient, audience: str, background: Background, cache: CacheView, *, serve_through_outages: bool
) -> LocalVerifier:
    """A verifier that reads auth's own entries.

    While auth cannot be asked it believes the feed, for the silence that is allowed, or nothing at all.
    """

    def learn(beat: Beat) -> None:
        cache.learn(beat.epoch, beat.as_of)

    signatures = Signatures(auth, audience, background)
    feed = RevocationFeed(auth, signatures.hear, learn)
    await _begin(feed, signatures, background)
    outage = FedSessions(feed, WhenSilent.ASK, "outage") if serve_through_outages else None
    sessions = CachedSessions(cache)
    return LocalVerifier(signatures, sessions, RemoteVerifier(auth, audience), outage, CachedKeys(sessions))


async def _begin(feed: RevocationFeed, signatures: Signatures, background: Background) -> None:
    background.spawn("revocation feed", feed.run())
    try:
        async with asyncio.timeout(_FIRST_SECONDS):
            await signatures.ready.wait()
    except TimeoutError:
        log.warning("auth does not tell of revocations yet: asking it about every token")
