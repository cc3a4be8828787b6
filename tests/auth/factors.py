"""People with second factors, and the clock that their codes go by."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pyotp
import pytest
from redis.asyncio import Redis

from protos.auth.v1 import factors_pb2, passkeys_pb2
from protos.auth.v1.factors_pb2 import CompleteLogInRequest, CompleteLogInResponse, ConfirmTotpRequest, LogInChallenge
from protos.auth.v1.resources_pb2 import Tokens, User
from shared import clock
from tests.authtest import Auth, bearer
from tests.servers import Servers
from tools.authenticator import Authenticator

ADA = "ada@example.com"
STEP = 30
BEHIND = 300
ORIGIN = "http://localhost:3000"


class Watch:
    """The clock of the service: it stands still until a test turns it.

    It begins minutes behind the world's, so that no token is from the future when it has been turned a few times.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        seconds = int(datetime.now(UTC).timestamp()) - BEHIND
        self.moment = datetime.fromtimestamp(seconds - seconds % STEP, UTC)
        monkeypatch.setattr(clock, "timestamp", lambda: self.moment.timestamp())  # noqa: PLW0108 - it moves

    def turn(self, seconds: float = STEP) -> None:
        self.moment += timedelta(seconds=seconds)


@dataclass
class Owner:
    """Somebody with an authenticator app."""

    auth: Auth
    watch: Watch
    user: User
    tokens: Tokens
    secret: str
    recovery_codes: list[str] = field(default_factory=list)

    def code(self, steps: int = 0) -> str:
        return pyotp.TOTP(self.secret).at(self.watch.moment, counter_offset=steps)

    def wrong_code(self) -> str:
        right = {self.code(steps) for steps in (-2, -1, 0, 1, 2)}
        return next(code for code in ("000000", "000001", "000002", "000003", "000004", "000005") if code not in right)

    async def challenge(self) -> LogInChallenge:
        answer = await self.auth.log_in(self.user.email)
        assert answer.HasField("challenge")
        assert [field.name for field, _ in answer.ListFields()] == ["challenge"]
        return answer.challenge

    async def complete(self, challenge: LogInChallenge | None = None, **proof: str) -> CompleteLogInResponse:
        """Complete a log-in, by default a new one with the code of now."""
        token = (challenge or await self.challenge()).challenge_token
        return await complete(self.auth, token, **(proof or {"totp_code": self.code()}))


async def forget_limits(servers: Servers) -> None:
    """As when the windows have passed."""
    async with Redis.from_url(servers.redis.url) as redis:
        if keys := [key async for key in redis.scan_iter("parley:limit:*")]:
            await redis.delete(*keys)


def succeeded(answers: Iterable[object]) -> int:
    """How many of the calls gathered with their exceptions have none."""
    return sum(not isinstance(answer, BaseException) for answer in answers)


async def complete(auth: Auth, token: str, **proof: str) -> CompleteLogInResponse:
    return await auth.auth.CompleteLogIn(CompleteLogInRequest(challenge_token=token, **proof))


async def enroll(auth: Auth, tokens: Tokens) -> factors_pb2.EnrollTotpResponse:
    return await auth.account.EnrollTotp(factors_pb2.EnrollTotpRequest(), metadata=bearer(tokens))


async def confirm(auth: Auth, tokens: Tokens, code: str, **rest: bool) -> factors_pb2.ConfirmTotpResponse:
    return await auth.account.ConfirmTotp(ConfirmTotpRequest(totp_code=code, **rest), metadata=bearer(tokens))


async def second_factors(auth: Auth, tokens: Tokens) -> factors_pb2.GetSecondFactorsResponse:
    return await auth.account.GetSecondFactors(factors_pb2.GetSecondFactorsRequest(), metadata=bearer(tokens))


async def regenerate(auth: Auth, tokens: Tokens) -> factors_pb2.RegenerateRecoveryCodesResponse:
    request = factors_pb2.RegenerateRecoveryCodesRequest()
    return await auth.account.RegenerateRecoveryCodes(request, metadata=bearer(tokens))


async def with_app(auth: Auth, watch: Watch, email: str = ADA) -> Owner:
    """Sign up, put an authenticator app to use, and wait for its next code."""
    made = await auth.sign_up(email)
    enrolled = await enroll(auth, made.tokens)
    owner = Owner(auth, watch, made.user, made.tokens, enrolled.secret)
    owner.recovery_codes = list((await confirm(auth, made.tokens, owner.code())).recovery_codes)
    watch.turn()
    return owner


async def begin_registration(auth: Auth, tokens: Tokens) -> passkeys_pb2.BeginPasskeyRegistrationResponse:
    request = passkeys_pb2.BeginPasskeyRegistrationRequest()
    return await auth.account.BeginPasskeyRegistration(request, metadata=bearer(tokens))


async def finish_registration(
    auth: Auth, tokens: Tokens, credential: str, **rest: str | bool
) -> passkeys_pb2.FinishPasskeyRegistrationResponse:
    request = passkeys_pb2.FinishPasskeyRegistrationRequest(credential_json=credential, **rest)
    return await auth.account.FinishPasskeyRegistration(request, metadata=bearer(tokens))


async def register(
    auth: Auth, tokens: Tokens, authenticator: Authenticator, **rest: str | bool
) -> passkeys_pb2.FinishPasskeyRegistrationResponse:
    begun = await begin_registration(auth, tokens)
    return await finish_registration(auth, tokens, authenticator.create(begun.options_json), **rest)


async def begin_passkey_log_in(auth: Auth, email: str = "") -> str:
    request = passkeys_pb2.BeginPasskeyLogInRequest(email=email)
    return (await auth.auth.BeginPasskeyLogIn(request)).options_json


async def finish_passkey_log_in(auth: Auth, credential: str, **rest: str) -> passkeys_pb2.FinishPasskeyLogInResponse:
    request = passkeys_pb2.FinishPasskeyLogInRequest(passkey_credential_json=credential, **rest)
    return await auth.auth.FinishPasskeyLogIn(request)


async def passkey_log_in(
    auth: Auth, authenticator: Authenticator, email: str = "", **rest: str
) -> passkeys_pb2.FinishPasskeyLogInResponse:
    return await finish_passkey_log_in(auth, authenticator.get(await begin_passkey_log_in(auth, email)), **rest)


async def begin_proof(auth: Auth, tokens: Tokens) -> str:
    request = passkeys_pb2.BeginPasskeyProofRequest()
    return (await auth.account.BeginPasskeyProof(request, metadata=bearer(tokens))).options_json
