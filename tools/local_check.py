"""What it costs a service to verify tokens itself, on the revocation feed, and how soon it hears of a log-out."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protos.auth.v1 import auth_service_pb2 as auth_pb2
from shared.errors import Unauthenticated
from shared.grpc.verifier import Verifier
from tools.clients import Clients, Person, log_in
from tools.operations import Samples

TRIES: Final = 200
_MICRO: Final = 1e6
_MILLI: Final = 1e3


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A figure with its unit and its budget."""

    name: str
    value: float
    unit: str
    budget: float | None

    @property
    def good(self) -> bool:
        """Whether it keeps its budget."""
        return self.budget is None or self.value <= self.budget


async def cost(
    verifier: Verifier, tokens: Sequence[str], *, rounds: int = 10, warm_runs: int = 5_000
) -> Sequence[Check]:
    """Of tokens that are seen for the first time, and of one that is remembered: medians of rounds."""
    first, again, signature = list[float](), list[float](), list[float]()
    for number in range(rounds):
        new = tokens[number::rounds]
        signature.append(_spent_on_signatures(new))
        first.append(await _spent(verifier.verify, new))
        again.append(await _spent(verifier.verify, (new[0] for _ in range(warm_runs))))
    return [
        _micros("a token seen before", again, 5.0),
        _micros("a token seen for the first time", first, 250.0),
        _micros("of it Ed25519, which nobody can save", signature, None),
    ]


def _micros(name: str, seconds: Sequence[float], budget: float | None) -> Check:
    return Check(name=name, value=_MICRO * statistics.median(seconds), unit="µs", budget=budget)


async def delay(verifier: Verifier, to: Clients, emails: Iterable[str], password: str) -> Sequence[Check]:
    """Of the refusal after the acknowledgement of a log-out, over as many tries as there are emails."""
    samples = Samples(seconds=[await _one_delay(verifier, to, await log_in(to, email, password)) for email in emails])
    return [
        Check(name="refusal after a log-out, median", value=_MILLI * samples.median, unit="ms", budget=None),
        Check(name="refusal after a log-out, p99", value=_MILLI * samples.quantile(0.99), unit="ms", budget=100.0),
        Check(name="refusal after a log-out, longest", value=_MILLI * max(samples.seconds), unit="ms", budget=None),
    ]


async def _one_delay(verifier: Verifier, to: Clients, person: Person) -> float:
    await verifier.verify(person.tokens.access_token)
    await to.auth.LogOut(auth_pb2.LogOutRequest(), metadata=person.bearer)
    acknowledged = time.perf_counter()
    try:
        while True:
            await verifier.verify(person.tokens.access_token)
            await asyncio.sleep(0)  # the stream wants to be read
    except Unauthenticated:
        return time.perf_counter() - acknowledged


def _spent_on_signatures(tokens: Sequence[str]) -> float:
    """Seconds of processor time a signature of texts as long as these, without anything around it."""
    private = Ed25519PrivateKey.generate()
    verify = private.public_key().verify
    signed = [(private.sign(token.encode()), token.encode()) for token in tokens]
    begin = time.process_time()
    for signature, text in signed:
        verify(signature, text)
    return (time.process_time() - begin) / len(signed)


async def _spent(verify: Callable[[str], Awaitable[object]], tokens: Iterable[str]) -> float:
    """Seconds of processor time a token."""
    count, begin = 0, time.process_time()
    for token in tokens:
        await verify(token)
        count += 1
    return (time.process_time() - begin) / count
