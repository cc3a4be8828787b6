"""Who is calling auth."""

from auth_service.models import Caller
from shared import calls


def caller() -> Caller:
    """Who is calling, with the account that the access check has just read."""
    principal = calls.principal()
    if not isinstance(principal, Caller):
        raise TypeError("auth verifies its own callers")
    return principal
