"""Handing a message to a mail server (RFC 5321), with TLS unless it was told otherwise."""

import re
from dataclasses import dataclass, field
from email.message import EmailMessage
from enum import StrEnum
from typing import Final, Self
from urllib.parse import parse_qs, unquote, urlsplit

import aiosmtplib
from aiosmtplib import (
    SMTPDataError,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientRefused,
    SMTPRecipientsRefused,
    SMTPResponseException,
)

_PORTS: Final = {"smtp": 587, "smtps": 465}
_PERMANENT: Final = 500
_ENHANCED_CODE: Final = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")


class Tls(StrEnum):
    """How the connection is protected; OFFERED is STARTTLS where the server has it."""

    IMPLICIT = "implicit"
    REQUIRED = "required"
    OFFERED = "offered"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpServer:
    """A mail server, and who we are there."""

    host: str
    port: int
    username: str | None
    password: str | None = field(repr=False)
    tls: Tls

    @classmethod
    def parse(cls, url: str, by_default: Tls) -> Self:
        """Read `smtp://user:password@host:587?tls=required` or `smtps://…`; raises ValueError with what to mend.

        Without `tls` it is by default, but where there is a password it is required.
        """
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError("must be smtp://host:port or smtps://host:port")
        asked = parse_qs(parts.query).get("tls", [""])[0]
        try:
            port = parts.port or _PORTS[parts.scheme]
            tls = Tls(asked) if asked else Tls.REQUIRED if parts.password else by_default
        except ValueError:
            raise ValueError("must have a port that is one, and as tls= required, offered or none") from None
        return cls(
            host=parts.hostname,
            port=port,
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            tls=Tls.IMPLICIT if parts.scheme == "smtps" else tls,
        )


class MailRefused(Exception):
    """The mail server will never take this message for this recipient; the text is its code alone."""


class MailDelayed(Exception):
    """The mail server cannot be reached or does not take the message now; the text says why, without an address."""


async def send(server: SmtpServer, message: EmailMessage, sender: str, recipient: str, seconds: float) -> None:
    """Hand a message over within so many seconds; raises MailRefused or MailDelayed.

    Where the server's last answer is lost, it may have taken the message: it is then sent again, under the same id.
    """
    client = aiosmtplib.SMTP(
        hostname=server.host,
        port=server.port,
        username=server.username,
        password=server.password,
        use_tls=server.tls is Tls.IMPLICIT,
        start_tls={Tls.REQUIRED: True, Tls.OFFERED: None}.get(server.tls, False),
        timeout=seconds,
    )
    try:
        async with client:
            await client.send_message(message, sender=sender, recipients=[recipient])
    except SMTPRecipientsRefused as error:
        raise _of_recipient(error.recipients[0]) from None
    except (SMTPRecipientRefused, SMTPDataError) as error:
        raise _of_recipient(error) from None
    except SMTPNotSupported:
        raise MailRefused("the address needs SMTPUTF8, which the mail server has not") from None
    except SMTPResponseException as error:  # of the connection, the log-in or the sender: not this mail's fault
        raise MailDelayed(f"{type(error).__name__} {_code(error)}") from None
    except (SMTPException, OSError) as error:
        raise MailDelayed(type(error).__name__) from None


def _of_recipient(error: SMTPResponseException) -> MailRefused | MailDelayed:
    return MailRefused(_code(error)) if error.code >= _PERMANENT else MailDelayed(_code(error))


def _code(error: SMTPResponseException) -> str:
    """The code and the enhanced code (RFC 3463); the rest of the answer often has the recipient's address."""
    enhanced = _ENHANCED_CODE.search(error.message)
    return f"{error.code} {enhanced.group()}" if enhanced else str(error.code)
