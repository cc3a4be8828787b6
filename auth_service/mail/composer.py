"""From what there is to tell to the message that tells it: made when it is sent, to the address that is stored."""

from dataclasses import dataclass, field
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Final, Self

from email_validator import validate_email

from auth_service.mail import wording
from auth_service.mail.mails import NATURES, Mail
from auth_service.mail.wording import Wording, harmless
from auth_service.models import User
from auth_service.one_time_codes import OneTimeSecrets
from auth_service.store import users
from auth_service.store.mail_outbox import ClaimedMail
from shared.db import Executor

_TIME: Final = "%Y-%m-%d %H:%M UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class MailFrom:
    """Whom our mails are from."""

    address: Address

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `Name <address>` or an address; raises ValueError where it is neither."""
        message = EmailMessage(policy=SMTP)
        try:
            message["From"] = text
            (address,) = message["From"].addresses
            domain = validate_email(address.addr_spec, check_deliverability=False, test_environment=True).ascii_domain
        except ValueError:
            raise ValueError("must be an address, as in Parley <no-reply@example.com>") from None
        return cls(address=Address(address.display_name, address.username, domain))


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the application is called, and where its links lead: a URL with `{action}` and `{token}`, or empty."""

    app_name: str
    link_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """A message, and whom it goes from and to."""

    sender: str
    recipient: str = field(repr=False)
    message: EmailMessage = field(repr=False)


class Composer:
    """Makes messages."""

    def __init__(self, database: Executor, mail_from: MailFrom, look: Look, secrets: OneTimeSecrets) -> None:
        """Look accounts up in Postgres: what a mail says of one must be so now."""
        self._database, self._from, self._look, self._secrets = database, mail_from.address, look, secrets

    async def compose(self, claimed: ClaimedMail, mail: Mail) -> Composed | None:
        """The message; None where there is nobody any more whom it should reach."""
        user = (await users.find_many(self._database, [mail.user_id])).get(mail.user_id)
        if user is None or user.state not in NATURES[mail.kind].states:
            return None
        recipient = _reachable(mail.recipient or user.email)
        words = wording.word(mail.kind, user.locale, self._facts(mail, user))
        message = self._message(claimed, recipient, words)
        return Composed(sender=self._from.addr_spec, recipient=recipient, message=message)

    def _facts(self, mail: Mail, user: User) -> dict[str, str]:
        return {
            "app": self._look.app_name,
            # A name is chosen before anybody knows whose address it is: without this, signing up would send any text.
            "name": harmless(user.display_name) if user.email_verify_time else "",
            "device": harmless(mail.device) or "?",
            "address": mail.address,
            "happen_time": mail.happen_time.strftime(_TIME) if mail.happen_time else "",
            **self._proofs(mail),
        }

    def _proofs(self, mail: Mail) -> dict[str, str]:
        """The link and the code; without an address for links the token stands there by itself."""
        nature = NATURES[mail.kind]
        if nature.purpose is None or mail.code_id is None:
            return {"link": "", "code": ""}
        token = self._secrets.token(nature.purpose, mail.code_id)
        action = nature.purpose.value.lower().replace("_", "-")
        link = self._look.link_url.replace("{action}", action).replace("{token}", token) or token
        return {"link": link, "code": self._secrets.code(nature.purpose, mail.code_id) if nature.typed else ""}

    def _message(self, claimed: ClaimedMail, recipient: str, words: Wording) -> EmailMessage:
        message = EmailMessage(policy=SMTP)
        message["From"] = self._from
        message["To"] = recipient
        message["Subject"] = words.subject
        message["Date"] = format_datetime(claimed.create_time)
        # The same at every attempt, so that a mailbox that got it twice may show it once.
        message["Message-ID"] = f"<{claimed.id}@{self._from.domain}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday notice comes back
        message.set_content(words.text)
        message.add_alternative(words.html, subtype="html")
        message["Content-Language"] = words.language
        return message


def _reachable(email: str) -> str:
    """An address for the wire: its domain in ASCII, and all of it where the local part is; else it needs SMTPUTF8."""
    found = validate_email(email, check_deliverability=False)
    return found.ascii_email or found.normalized
