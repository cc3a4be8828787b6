"""The revocation feed, as a service that checks access tokens itself keeps it (protos/auth/v1/revocations.proto).

Everything that was acknowledged before `as_of` is in the set. That moment is reckoned from when the stream was asked
for, by the clock of this process: what was long on its way is known to be old, and nobody's clock has to agree.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import structlog

from protos.auth.v1 import revocations_pb2
from shared import clock, metrics
from shared.cache import Epoch
from shared.errors import Unavailable
from shared.grpc.auth_client import AuthClient, Watched
from shared.revocations import RecentRevocations, Revocation, RevocationKind

log = structlog.get_logger()

SILENCE_SECONDS: Final = 3.0
_MOST_PAUSE: Final = 0.5
_KINDS: Final = {
    revocations_pb2.REVOCATION_KIND_SESSION_ENDED: RevocationKind.SESSION_ENDED,
    revocations_pb2.REVOCATION_KIND_SESSION_CHANGED: RevocationKind.SESSION_CHANGED,
    revocations_pb2.REVOCATION_KIND_USER_CHANGED: RevocationKind.USER_CHANGED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """What a heartbeat says; `as_of` is a monotonic moment of ours, `ahead` the seconds by which auth's clock leads."""

    as_of: float
    ahead: float
    key_set_version: str
    epoch: Epoch


class RevocationFeed:
    """The sessions and users that a living token may be wrong about, and how far that knowledge reaches."""

    def __init__(self, auth: AuthClient, *listeners: Callable[[Beat], None]) -> None:
        """Know nothing before the first stream; listeners hear every heartbeat."""
        self._auth, self._listeners = auth, listeners
        self._recent = RecentRevocations()
        self._as_of = float("-inf")
        self.ended, self.changed = self._recent.ended, self._recent.changed
        metrics.feed_age.set_function(lambda: clock.monotonic() - self._as_of)

    @property
    def silent(self) -> bool:
        """Whether too long ago is the moment before which all is known."""
        return clock.monotonic() - self._as_of >= SILENCE_SECONDS

    async def run(self) -> None:
        """Keep a stream, until cancelled: where one ends, another replica may have the next."""
        while True:
            try:
                async for watched in self._auth.watch(SILENCE_SECONDS):
                    self._learn(watched)
            except Unavailable:
                metrics.feed_interruptions.inc()
                log.warning("the revocation feed is interrupted")
            await asyncio.sleep(random.uniform(0, _MOST_PAUSE))  # noqa: S311 - so that a fleet does not come at once

    def _learn(self, watched: Watched) -> None:
        for told in watched.news.revocations:
            # What a newer auth may tell is not understood: give up before a heartbeat says that all is known.
            if told.kind not in _KINDS:
                raise Unavailable
            self._recent.add(Revocation(_KINDS[told.kind], UUID(told.subject_id)))
        if watched.news.HasField("heartbeat"):
            self._beat(_beat(watched.asked, watched.news.heartbeat))

    def _beat(self, beat: Beat) -> None:
        self._as_of = beat.as_of
        metrics.feed_lag.observe(clock.monotonic() - beat.as_of)
        metrics.revocations_kept.set(len(self._recent))
        self._recent.forget_old()
        for listener in self._listeners:
            listener(beat)


def _beat(asked: float, message: revocations_pb2.Heartbeat) -> Beat:
    as_of = asked + _seconds(message.elapsed.seconds, message.elapsed.nanos)
    then = clock.timestamp() - (clock.monotonic() - as_of)
    epoch = message.cache_epoch
    return Beat(
        as_of=as_of,
        ahead=_seconds(message.as_of_time.seconds, message.as_of_time.nanos) - then,
        key_set_version=message.key_set_version,
        epoch=Epoch(
            epoch=epoch.epoch, server_id=epoch.server_id or None, age=_seconds(epoch.age.seconds, epoch.age.nanos)
        ),
    )


def _seconds(seconds: int, nanos: int) -> float:
    return seconds + nanos / 1e9
