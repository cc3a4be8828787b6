"""What it costs to check an access token with auth's public keys in the process that serves the call."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from protos.auth.v1 import auth_service_pb2
from shared import jwks
from shared.access_tokens import TokenChecker

_ISSUER: Final = "parley"
_AUDIENCE: Final = "auth"
_MICRO: Final = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One way to check, in microseconds, and its budget."""

    name: str
    micros: float
    budget: float | None

    @property
    def good(self) -> bool:
        """Whether it keeps its budget."""
        return self.budget is None or self.micros <= self.budget


def measure(
    access_token: str, listed: auth_service_pb2.GetJwksResponse, *, warm_runs: int = 50_000, cold_runs: int = 2_000
) -> Sequence[Check]:
    """A token that is remembered, and one that is seen for the first time."""
    keys = jwks.key_set({field.name: value for field, value in key.ListFields()} for key in listed.keys)
    checker = TokenChecker(_ISSUER, _AUDIENCE)

    def warm() -> None:
        checker.check(access_token, keys)

    def cold() -> None:
        TokenChecker(_ISSUER, _AUDIENCE).check(access_token, keys)

    return [
        Check(name="remembered", micros=_micros(warm, warm_runs), budget=5.0),
        Check(name="seen for the first time", micros=_micros(cold, cold_runs), budget=None),
    ]


def _micros(check: Callable[[], None], count: int) -> float:
    check()
    begin = time.process_time()
    for _ in range(count):
        check()
    return _MICRO * (time.process_time() - begin) / count
