"""No method that checks a secret can be guessed at without end: the methods are read off the contract (R10, R14).

A request field with `debug_redact` is a secret. A new method that takes one fails here until `WRONG` says how a wrong
one is presented to it, and until presenting it often enough is refused.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pyotp
import pytest

from auth_service.rpc.secrets import INTROSPECTION, takes_secret
from protos.auth.v1 import account_service_pb2, admin_service_pb2, auth_service_pb2
from protos.auth.v1 import one_time_pb2 as pb
from protos.auth.v1.auth_service_pb2 import LogInRequest, RefreshTokenRequest
from protos.auth.v1.factors_pb2 import (
    CompleteLogInRequest,
    ConfirmTotpRequest,
    DisableTotpRequest,
    EnrollTotpRequest,
    ReauthenticateRequest,
)
from protos.auth.v1.passkeys_pb2 import FinishPasskeyLogInRequest
from protos.auth.v1.service_accounts_pb2 import IssueServiceTokenRequest
from tests.authtest import PASSWORD, Auth, auth_config, bearer, running_auth
from tests.grpc_errors import failure
from tests.servers import Servers, TestDatabase

ALLOWED = 3


async def signed_in(auth: Auth, number: int) -> tuple[tuple[str, str], ...]:
    return bearer((await auth.sign_up(f"{number}@example.com")).tokens)


async def wrong_password(auth: Auth, number: int) -> Any:
    request = ReauthenticateRequest(password="not it")
    return await auth.account.Reauthenticate(request, metadata=await signed_in(auth, number))


async def wrong_first_code(auth: Auth, number: int) -> Any:
    caller = await signed_in(auth, number)
    secret = (await auth.account.EnrollTotp(EnrollTotpRequest(), metadata=caller)).secret
    return await auth.account.ConfirmTotp(ConfirmTotpRequest(totp_code=a_wrong_code(secret)), metadata=caller)


async def wrong_code(auth: Auth, number: int) -> Any:
    caller = await signed_in(auth, number)
    secret = (await auth.account.EnrollTotp(EnrollTotpRequest(), metadata=caller)).secret
    await auth.account.ConfirmTotp(ConfirmTotpRequest(totp_code=pyotp.TOTP(secret).now()), metadata=caller)
    return await auth.account.DisableTotp(DisableTotpRequest(totp_code=a_wrong_code(secret)), metadata=caller)


def a_wrong_code(secret: str) -> str:
    """One that no time step near now has."""
    now = datetime.now(UTC)
    right = {pyotp.TOTP(secret).at(now, counter_offset=steps) for steps in range(-3, 4)}
    return next(code for code in map("{:06}".format, range(10)) if code not in right)


# They make a secret and check none: what they are given is a new password, or the hash of one.
SETTING = {"SignUp", "ImportUsers"}
# How a wrong secret is presented; `number` counts the attempts, so that no budget of one account is what refuses.
WRONG: dict[str, Callable[[Auth, int], Awaitable[Any]]] = {
    "LogIn": lambda auth, number: auth.auth.LogIn(LogInRequest(email=f"{number}@example.com", password="not it")),
    "VerifyEmail": lambda auth, _: auth.auth.VerifyEmail(pb.VerifyEmailRequest(token="parley_ot_guess")),
    "LogInWithLink": lambda auth, _: auth.auth.LogInWithLink(
        pb.LogInWithLinkRequest(request_token="parley_or_guess", code="12345678")
    ),
    "ConfirmEmailChange": lambda auth, _: auth.auth.ConfirmEmailChange(pb.ConfirmEmailChangeRequest(token="x")),
    "RestoreAccount": lambda auth, _: auth.auth.RestoreAccount(pb.RestoreAccountRequest(token="parley_ot_guess")),
    "ResetPassword": lambda auth, _: auth.auth.ResetPassword(
        pb.ResetPasswordRequest(request_token="parley_or_guess", code="12345678", new_password=PASSWORD)
    ),
    "ChangePassword": lambda auth, number: change_password(auth, f"changer{number}@example.com"),
    "CompleteLogIn": lambda auth, _: auth.auth.CompleteLogIn(
        CompleteLogInRequest(challenge_token="parley_lc_guess", totp_code="123456")
    ),
    "FinishPasskeyLogIn": lambda auth, _: auth.auth.FinishPasskeyLogIn(
        FinishPasskeyLogInRequest(passkey_credential_json="{}")
    ),
    "Reauthenticate": wrong_password,
    "ConfirmTotp": wrong_first_code,
    "DisableTotp": wrong_code,
    "IssueServiceToken": lambda auth, number: auth.auth.IssueServiceToken(
        IssueServiceTokenRequest(client_id=f"01890000-0000-7000-8000-{number:012}", client_secret="parley_cs_guess")
    ),
    "RefreshToken": lambda auth, _: auth.auth.RefreshToken(RefreshTokenRequest(refresh_token="parley_rt_guess")),
}


async def change_password(auth: Auth, email: str) -> Any:
    tokens = (await auth.sign_up(email)).tokens
    request = pb.ChangePasswordRequest(current_password="not the password", new_password=f"{PASSWORD}!")
    return await auth.account.ChangePassword(request, metadata=bearer(tokens))


def methods() -> set[str]:
    files = (auth_service_pb2.DESCRIPTOR, account_service_pb2.DESCRIPTOR, admin_service_pb2.DESCRIPTOR)
    services = [service for file in files for service in file.services_by_name.values()]
    return {method.name for service in services for method in service.methods if takes_secret(method)}


@pytest.fixture
async def strict(servers: Servers, auth_database: TestDatabase, patient_redis: None) -> AsyncIterator[Auth]:
    config = auth_config(auth_database, servers.redis.url, AUTH_FAILURES_PER_ADDRESS_PER_MINUTE=ALLOWED)
    async with running_auth(auth_database, config) as auth:
        yield auth


def test_every_method_that_takes_a_secret_is_guessed_at_below() -> None:
    assert methods() == set(WRONG) | SETTING
    assert {"LogIn", "RefreshToken"} <= methods()
    assert not methods() & set(INTROSPECTION)


@pytest.mark.parametrize("method", WRONG)
async def test_guessing_is_refused_after_a_few(strict: Auth, method: str) -> None:
    for number in range(ALLOWED):
        failed = await failure(WRONG[method](strict, number))
        assert failed.reason not in ("RATE_LIMITED", "INVALID_FIELDS", "INTERNAL")
        assert failed.code.name == "UNAUTHENTICATED"
    failed = await failure(WRONG[method](strict, ALLOWED))
    assert (failed.reason, failed.facts) == ("RATE_LIMITED", {"limit": "failures_by_address"})
    assert failed.retry_seconds is not None


async def test_right_secrets_do_not_count(strict: Auth) -> None:
    tokens = (await strict.sign_up()).tokens
    for _ in range(2 * ALLOWED):
        await strict.log_in()
        tokens = (await strict.refresh(tokens.refresh_token)).tokens


async def test_methods_are_counted_each_for_itself(strict: Auth) -> None:
    """Dead refresh tokens, which a crowd behind one address may well present, keep nobody from logging in."""
    await strict.sign_up()
    for number in range(ALLOWED + 1):
        await failure(WRONG["RefreshToken"](strict, number))
    assert (await strict.log_in()).user.email == "ada@example.com"
