"""AUTH_PASSWORD_MIN_LENGTH: how long a new password must be (R01)."""

from collections.abc import Awaitable

from protos.auth.v1 import one_time_pb2 as pb
from protos.auth.v1.auth_service_pb2 import SignUpRequest, SignUpResponse
from tests.authtest import Auth, auth_config, bearer, running_auth
from tests.grpc_errors import failure
from tests.servers import Servers, TestDatabase, make_master_key

FORMER, SHORT, LONG = "8 chars!", "fourteen chars", "fifteen chars 👾"
SENTENCE = "must have at least 15 characters"


async def test_a_password_shorter_than_the_setting_is_refused_wherever_one_is_chosen(
    auth_database: TestDatabase, servers: Servers
) -> None:
    """R01: sign-up, change and reset; a password that was chosen before the setting stays good."""
    settings = {"AUTH_MASTER_KEY": make_master_key()}
    async with running_auth(auth_database, auth_config(auth_database, servers.redis.url, **settings)) as auth:
        await _sign_up(auth, FORMER)
    settings |= {"AUTH_PASSWORD_MIN_LENGTH": "15"}
    async with running_auth(auth_database, auth_config(auth_database, servers.redis.url, **settings)) as auth:
        tokens = (await auth.log_in("8@example.com", FORMER)).tokens

        async def change(password: str) -> object:
            request = pb.ChangePasswordRequest(current_password=FORMER, new_password=password)
            return await auth.account.ChangePassword(request, metadata=bearer(tokens))

        assert await _refusal(_sign_up(auth, SHORT)) == {"password": SENTENCE}
        assert await _refusal(change(SHORT)) == {"new_password": SENTENCE}
        assert await _refusal(_reset(auth, SHORT)) == {"new_password": SENTENCE}
        await _sign_up(auth, LONG)
        await change(LONG)
        assert (await failure(_reset(auth, LONG))).reason == "ONE_TIME_CODE_INVALID"


async def _refusal(attempt: Awaitable[object]) -> dict[str, str]:
    return (await failure(attempt)).violations


async def _sign_up(auth: Auth, password: str) -> SignUpResponse:
    return await auth.auth.SignUp(SignUpRequest(email=f"{len(password)}@example.com", password=password))


async def _reset(auth: Auth, password: str) -> pb.ResetPasswordResponse:
    return await auth.auth.ResetPassword(pb.ResetPasswordRequest(token="guess", new_password=password))
