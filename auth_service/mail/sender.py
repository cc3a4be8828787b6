"""Empties the outbox: at once or after growing pauses, by any replica, each mail at least once.

A mail is taken under a lease that is longer than any attempt, so a replica that dies loses none, and two never send
the same one unless the mail server's answer was lost.
"""

import asyncio
import random
from datetime import timedelta
from typing import Final

import structlog

from auth_service.mail import smtp
from auth_service.mail.composer import Composer
from auth_service.mail.outbox import Outbox
from auth_service.mail.smtp import MailDelayed, MailRefused, SmtpServer
from auth_service.store import mail_outbox
from auth_service.store.mail_outbox import ClaimedMail
from shared import metrics
from shared.db import Database

log = structlog.get_logger()

MEASURE_SECONDS: Final = 15.0
POLL_SECONDS: Final = 1.0
BATCH: Final = 10
ATTEMPT_SECONDS: Final = 30.0
_LEASE: Final = timedelta(seconds=2 * ATTEMPT_SECONDS)
REFUSED_STAY: Final = timedelta(days=7)
PAUSES: Final = tuple(timedelta(seconds=seconds) for seconds in (5, 30, 120, 600, 1800, 3600))
_MANY: Final = 10_000


class MailSender:
    """Sends what is due."""

    def __init__(self, database: Database, outbox: Outbox, composer: Composer, server: SmtpServer) -> None:
        """Send through one mail server."""
        self._database, self._outbox, self._composer, self._server = database, outbox, composer, server

    async def work(self) -> None:
        """Wait for work, and do all there is."""
        await self._outbox.await_nudge(POLL_SECONDS)
        while True:
            claimed = await mail_outbox.claim(self._database, _LEASE, BATCH)
            for outcome in await asyncio.gather(*map(self._handle, claimed), return_exceptions=True):
                if outcome is not None:
                    raise outcome
            if len(claimed) < BATCH:
                return

    async def measure(self) -> None:
        """Tell how much waits, and for how long."""
        backlog = await mail_outbox.backlog(self._database, _MANY)
        metrics.mails_waiting.set(backlog.waiting)
        metrics.mail_oldest_seconds.set(backlog.oldest_seconds)

    async def _handle(self, claimed: ClaimedMail) -> None:
        """One attempt; whatever fails in it, the other mails go on."""
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                sent = await self._attempt(claimed)
        except MailRefused as refused:
            await self._give_up(claimed, str(refused))
        except Exception as error:
            await self._postpone(claimed, str(error) if isinstance(error, MailDelayed) else type(error).__name__)
        else:
            await mail_outbox.delete(self._database, claimed)
            metrics.mails.labels(claimed.kind, "sent" if sent else "dropped").inc()

    async def _attempt(self, claimed: ClaimedMail) -> bool:
        """Whether there was somebody to send it to."""
        mail = self._outbox.open(claimed)
        if mail is None:
            raise MailRefused("it cannot be read: it was sealed with another master key, or by another version")
        composed = await self._composer.compose(claimed, mail)
        if composed is None:
            return False
        await smtp.send(self._server, composed.message, composed.sender, composed.recipient, ATTEMPT_SECONDS)
        return True

    async def _give_up(self, claimed: ClaimedMail, failure: str) -> None:
        metrics.mails.labels(claimed.kind, "refused").inc()
        log.warning("mail refused", mail_id=str(claimed.id), kind=claimed.kind, failure=failure)
        await mail_outbox.give_up(self._database, claimed, failure, REFUSED_STAY)

    async def _postpone(self, claimed: ClaimedMail, failure: str) -> None:
        metrics.mails.labels(claimed.kind, "delayed").inc()
        pause = PAUSES[min(claimed.attempts, len(PAUSES)) - 1] * random.uniform(0.8, 1.2)  # noqa: S311 - no secret
        log.warning(
            "mail delayed", mail_id=str(claimed.id), kind=claimed.kind, failure=failure, attempt=claimed.attempts
        )
        await mail_outbox.postpone(self._database, claimed, pause)
