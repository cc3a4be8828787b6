"""Service keys: what they open, and that they open nothing else."""

import grpc
import pytest

from protos.auth.v1.account_service_pb2 import GetProfileRequest
from protos.auth.v1.admin_service_pb2 import BatchGetUsersRequest
from protos.auth.v1.auth_service_pb2 import BatchVerifyTokensRequest, LogOutRequest, VerifyTokenRequest
from protos.auth.v1.resources_pb2 import INACTIVE_REASON_MALFORMED
from protos.options.v1 import access_pb2
from shared import service_keys
from tests.auth.test_access import METHODS, access, call
from tests.auth.test_authorization import check
from tests.authtest import SERVICE_KEY, Auth, auth_config, bearer, running_auth, service_bearer
from tests.grpc_errors import failure
from tests.servers import Servers, TestDatabase, fetch, make_master_key


async def test_a_service_key_opens_what_is_for_services_without_any_account(auth: Auth) -> None:
    """R12."""
    answer = await auth.admin.BatchGetUsers(
        BatchGetUsersRequest(ids=["01890000-0000-7000-8000-000000000000"]), metadata=service_bearer()
    )
    assert len(answer.missing_ids) == 1
    assert (await fetch(auth.database.url, "SELECT count(*) FROM users"))[0][0] == 0


async def test_a_service_key_opens_nothing_else(auth: Auth) -> None:
    """R30, R41: it stands for no user, and for no administrator."""
    others = [m for m in METHODS if access(m) in (access_pb2.ACCESS_USER, access_pb2.ACCESS_ADMIN)]
    assert len(others) > 5
    for method in others:
        assert (await failure(call(auth, method, service_bearer()))).reason == "PERMISSION_DENIED"
    presented = service_keys.PREFIX + SERVICE_KEY
    assert (await auth.verify(presented)).inactive_reason == INACTIVE_REASON_MALFORMED
    assert (await failure(auth.refresh(presented))).reason == "REFRESH_TOKEN_INVALID"
    refused = await check(auth, presented)
    assert refused.status.code != 0


@pytest.mark.parametrize(
    "presented",
    [make_master_key(), SERVICE_KEY[:-1], SERVICE_KEY + "=", "", SERVICE_KEY.swapcase(), f"{SERVICE_KEY},"],
    ids=["another", "shorter", "longer", "empty", "in other case", "as it stands in a list"],
)
async def test_any_other_key_opens_nothing(auth: Auth, presented: str) -> None:
    refused = await failure(auth.admin.BatchGetUsers(BatchGetUsersRequest(), metadata=service_bearer(presented)))
    assert (refused.code, refused.reason) == (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
    assert refused.facts == {"inactive_reason": "INVALID"}


async def test_a_key_without_its_prefix_is_no_key(auth: Auth) -> None:
    refused = await failure(auth.admin.BatchGetUsers(BatchGetUsersRequest(), metadata=bearer(SERVICE_KEY)))
    assert refused.facts == {"inactive_reason": "MALFORMED"}


async def test_two_keys_are_good_while_one_takes_the_place_of_the_other(
    auth_database: TestDatabase, servers: Servers
) -> None:
    former, present = make_master_key(), make_master_key()
    config = auth_config(auth_database, servers.redis.url, AUTH_SERVICE_KEYS=f"{present}, {former}")
    request = BatchGetUsersRequest(ids=["01890000-0000-7000-8000-000000000000"])
    async with running_auth(auth_database, config) as auth:
        for key in (former, present):
            assert await auth.admin.BatchGetUsers(request, metadata=service_bearer(key))
        refused = await failure(auth.admin.BatchGetUsers(request, metadata=service_bearer(f"{present}, {former}")))
        assert refused.reason == "UNAUTHENTICATED"


async def test_without_any_key_in_the_settings_an_empty_one_opens_nothing(
    auth_database: TestDatabase, servers: Servers
) -> None:
    async with running_auth(auth_database, auth_config(auth_database, servers.redis.url, AUTH_SERVICE_KEYS="")) as auth:
        refused = await failure(auth.admin.BatchGetUsers(BatchGetUsersRequest(), metadata=service_bearer("")))
        assert refused.reason == "UNAUTHENTICATED"


async def test_introspection_is_for_services_alone_where_the_setting_says_so(
    auth_database: TestDatabase, servers: Servers
) -> None:
    """RFC 7662 section 2.1: it must not tell whoever asks which tokens are good."""
    config = auth_config(auth_database, servers.redis.url, AUTH_PROTECT_INTROSPECTION=True)
    async with running_auth(auth_database, config) as auth:
        tokens = (await auth.sign_up()).tokens
        one = VerifyTokenRequest(access_token=tokens.access_token)
        many = BatchVerifyTokensRequest(access_tokens=[tokens.access_token])
        for rpc, request in ((auth.auth.VerifyToken, one), (auth.auth.BatchVerifyTokens, many)):
            assert (await failure(rpc(request))).reason == "UNAUTHENTICATED"
            assert (await failure(rpc(request, metadata=bearer(tokens)))).reason == "PERMISSION_DENIED"
        assert (await auth.auth.VerifyToken(one, metadata=service_bearer())).active
        assert (await auth.auth.BatchVerifyTokens(many, metadata=service_bearer())).results[0].active
        await auth.account.GetProfile(GetProfileRequest(), metadata=bearer(tokens))
        await auth.auth.LogOut(LogOutRequest(), metadata=bearer(tokens))
