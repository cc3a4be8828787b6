"""Notices: what happened to an account, told to its owner (ASVS 6.3.5 and 6.3.7)."""

from uuid import UUID

from auth_service.mail.mails import Mail, MailKind
from auth_service.mail.outbox import Outbox
from auth_service.store.mail_outbox import QueuedMail
from shared import calls, clock


class Notices:
    """Says what the present call does, and where the call is from."""

    def __init__(self, outbox: Outbox, *, of_new_devices: bool) -> None:
        """`of_new_devices` is whether sign-ins from devices and places that are new are told."""
        self._outbox, self._of_new_devices = outbox, of_new_devices

    def of_new_device(self, user_id: UUID, device: str) -> QueuedMail | None:
        """For the statement that begins a session, which knows whether it is told."""
        if not self._of_new_devices:
            return None
        mail = Mail(
            kind=MailKind.NEW_DEVICE,
            user_id=user_id,
            happen_time=clock.now(),
            device=device,
            address=calls.address(),
        )
        return self._outbox.seal(mail)
