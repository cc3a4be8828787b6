"""E-mail addresses: one spelling for one mailbox, and the same spelling however often it is normalised."""

from typing import Final

from email_validator import EmailNotValidError, validate_email

MAX_LENGTH: Final = 254  # RFC 5321 section 4.5.3.1.3, less the brackets
_ROUNDS: Final = 4


def normalise(text: str) -> str | None:
    """The address in lower case, its domain in Unicode (RFC 6531, IDNA 2008); None where it is not one.

    Lower case and Unicode's composition undo each other for a few letters, so both are applied until nothing changes.
    """
    for _ in range(_ROUNDS):
        if len(text) > MAX_LENGTH:
            return None
        try:
            normalised = validate_email(text, check_deliverability=False).normalized.lower()
        except EmailNotValidError:
            return None
        if normalised == text:
            return text
        text = normalised
    return None
