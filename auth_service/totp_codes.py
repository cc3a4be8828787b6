"""Time-based one-time passwords (RFC 6238) as every authenticator app makes them: SHA-1, six digits, thirty seconds."""

import hmac
from typing import Final

import pyotp

from shared import clock

DIGITS: Final = 6
STEP_SECONDS: Final = 30
DRIFT: Final = 1  # steps that a phone's clock may be ahead or behind (section 5.2)
_SECRET_CHARACTERS: Final = 32  # of base32: 160 bits, as RFC 4226 section 4 recommends


def new_secret() -> str:
    """A secret in base32."""
    return pyotp.random_base32(_SECRET_CHARACTERS)


def uri(secret: str, account: str, service: str) -> str:
    """What an authenticator app reads from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=account, issuer_name=service)


def matching_step(secret: bytes | None, code: str) -> int | None:
    """The newest time step around now whose code this is; None where it is none's, or the secret cannot be read."""
    if secret is None:
        return None
    totp = pyotp.TOTP(secret.decode())
    present = int(clock.timestamp()) // STEP_SECONDS
    matching = [
        step
        for step in range(present - DRIFT, present + DRIFT + 1)
        if hmac.compare_digest(totp.generate_otp(step).encode(), code.encode())
    ]
    return max(matching, default=None)
