"""A real SMTP server in a thread of the test, which keeps what it is given and can be told to refuse."""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from shared.embedded import free_port


@dataclass
class Received:
    """A mail with its envelope."""

    sender: str
    recipients: list[str]
    message: EmailMessage
    encrypted: bool

    @property
    def text(self) -> str:
        return self._part("plain")

    @property
    def html(self) -> str:
        return self._part("html")

    def _part(self, kind: str) -> str:
        body = self.message.get_body((kind,))
        assert body is not None
        return str(body.get_content())


@dataclass
class Mailbox:
    """Everybody's mailbox. `answers` are what RCPT or DATA are refused with, by recipient, the first one first."""

    port: int
    received: list[Received] = field(default_factory=list)
    answers: dict[str, list[str]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def to(self, recipient: str) -> list[Received]:
        return [mail for mail in self.received if mail.recipients == [recipient]]

    async def next_to(self, recipient: str, count: int = 1) -> Received:
        """The last of so many mails to somebody, once it is there."""
        async with asyncio.timeout(20):
            while len(self.to(recipient)) < count:
                await asyncio.sleep(0.01)
        return self.to(recipient)[count - 1]

    async def handle_RCPT(  # noqa: N802 - the server's name for it
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if self.answers.get(address):
            return self.answers[address].pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - likewise
        message = message_from_bytes(envelope.original_content or b"", EmailMessage, policy=policy.default)
        encrypted = server.transport.get_extra_info("ssl_object") is not None
        self.received.append(Received(str(envelope.mail_from), list(envelope.rcpt_tos), message, encrypted))
        return "250 OK"


@contextmanager
def mailbox(
    *, tls: ssl.SSLContext | None = None, implicit: bool = False, password: str = "", port: int = 0
) -> Iterator[Mailbox]:
    """A mail server; with `tls` it offers STARTTLS or, where implicit, speaks nothing else."""

    def authenticate(
        server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword
    ) -> AuthResult:
        return AuthResult(success=(data.login, data.password) == (b"parley", password.encode()), handled=False)

    box = Mailbox(port or free_port())
    settings = {"tls_context": tls} if tls and not implicit else {}
    if password:
        settings |= {"authenticator": authenticate, "auth_required": True, "auth_require_tls": not implicit}
    controller = Controller(
        box,
        hostname="127.0.0.1",
        port=box.port,
        ssl_context=tls if implicit else None,
        enable_SMTPUTF8=True,
        **settings,
    )
    controller.start()
    try:
        yield box
    finally:
        controller.stop()
