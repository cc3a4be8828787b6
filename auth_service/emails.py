"""E-mail addresses: one spelling for one mailbox, and the same spelling however often it is normalised."""

import re
from functools import lru_cache
from typing import Final

from email_validator import EmailNotValidError, validate_email

MAX_LENGTH: Final = 254  # RFC 5321 section 4.5.3.1.3, less the brackets
_ROUNDS: Final = 4
_MAX_LOCAL: Final = 64  # RFC 5321 section 4.5.3.1.1
_PLAIN_LOCAL: Final = re.compile(r"[A-Za-z0-9_'+-]+(?:\.[A-Za-z0-9_'+-]+)*")
_PLAIN_DOMAIN: Final = re.compile(r"[A-Za-z0-9.-]+")


def normalise(text: str) -> str | None:
    """The address in lower case, its domain in Unicode (RFC 6531, IDNA 2008); None where it is not one.

    Most addresses are a few plain letters at a domain that was seen before: for them the answer is at hand.
    """
    local, _, domain = text.rpartition("@")
    if len(text) <= MAX_LENGTH and len(local) <= _MAX_LOCAL and _PLAIN_LOCAL.fullmatch(local) and _is_plain(domain):
        return text.lower() if _is_domain(domain.lower()) else None
    return _normalise(text)


def _is_plain(domain: str) -> bool:
    """Whether a domain is its own international form, but for its case."""
    return _PLAIN_DOMAIN.fullmatch(domain) is not None and "xn--" not in domain.lower()


@lru_cache(maxsize=4_096)
def _is_domain(domain: str) -> bool:
    return _normalise(f"a@{domain}") is not None


def _normalise(text: str) -> str | None:
    """By the library, which takes fifty microseconds.

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
