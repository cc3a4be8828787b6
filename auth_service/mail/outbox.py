"""The outbox: mails are put into it by the transaction that causes them, so that none is sent for what was undone."""

import asyncio
from typing import Final

import msgspec

from auth_service.mail.mails import NATURES, Mail
from auth_service.store import mail_outbox
from auth_service.store.mail_outbox import ClaimedMail, QueuedMail
from shared import ids
from shared.crypto import SealingKeys
from shared.db import Executor

_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(Mail)


class Outbox:
    """Seals what is to be told, for it holds addresses of people."""

    def __init__(self, keys: SealingKeys) -> None:
        """Seal with keys of its own."""
        self._keys = keys
        self._nudged = asyncio.Event()

    def seal(self, mail: Mail) -> QueuedMail:
        """The mail for a statement that puts it into the outbox itself."""
        mail_id = ids.new_id()
        return QueuedMail(
            id=mail_id,
            kind=mail.kind.value,
            content_sealed=self._keys.seal(_ENCODER.encode(mail), mail_id.bytes),
            lifetime=NATURES[mail.kind].lifetime,
        )

    def open(self, claimed: ClaimedMail) -> Mail | None:
        """What a mail is about; None where it was sealed with another key, or by another version."""
        content = self._keys.unseal(claimed.content_sealed, claimed.id.bytes)
        if content is None:
            return None
        try:
            return _DECODER.decode(content)
        except msgspec.MsgspecError:
            return None

    async def put(self, executor: Executor, *mails: Mail) -> None:
        """Put mails into the outbox, in the transaction of the change that they tell of."""
        for mail in mails:
            await mail_outbox.insert(executor, self.seal(mail))

    def nudge(self) -> None:
        """After the commit: this process need not wait for its next look."""
        self._nudged.set()

    async def await_nudge(self, seconds: float) -> None:
        """Return when nudged, and after so many seconds in any case."""
        try:
            async with asyncio.timeout(seconds):
                await self._nudged.wait()
        except TimeoutError:
            return
        self._nudged.clear()
