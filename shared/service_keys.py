"""Keys by which services prove to auth who they are, without an account: so that none has to exist at a first start.

A key is settings on both sides: one of AUTH_SERVICE_KEYS there, the other service's own here.
"""

from typing import Final

PREFIX: Final = "parley_sk_"


def bearer(key: str) -> tuple[str, str]:
    """The metadata that a service sends along with its calls to auth."""
    return ("authorization", f"Bearer {PREFIX}{key}")
