"""BatchGetUsers: other people's accounts, for services alone."""

from collections.abc import Sequence
from uuid import uuid4

import grpc
import pytest

from protos.auth.v1.admin_service_pb2 import BatchGetUsersRequest, BatchGetUsersResponse
from protos.auth.v1.resources_pb2 import Tokens
from tests.authtest import Auth, bearer
from tests.grpc_errors import failure
from tests.servers import fetch


async def get(auth: Auth, tokens: Tokens, ids: Sequence[str]) -> BatchGetUsersResponse:
    return await auth.admin.BatchGetUsers(BatchGetUsersRequest(ids=ids), metadata=bearer(tokens))


@pytest.fixture
async def service(auth: Auth) -> Tokens:
    """The tokens of an account that is a service; its role was there before anything was cached."""
    made = await auth.sign_up("service@example.com")
    await fetch(auth.database.url, "UPDATE users SET roles = '{service}' WHERE email = 'service@example.com'")
    return made.tokens


async def test_users_come_in_the_order_asked_and_nobodys_ids_are_named(auth: Auth, service: Tokens) -> None:
    people = [(await auth.sign_up(f"a{number}@example.com")).user for number in range(3)]
    nobody, another = str(uuid4()), str(uuid4())
    asked = [people[2].id, nobody, people[0].id, another, people[1].id.upper(), people[2].id, nobody]
    answer = await get(auth, service, asked)
    assert list(answer.users) == [people[2], people[0], people[1]]
    assert list(answer.missing_ids) == [nobody, another]


async def test_without_the_role_of_a_service_nobody_may_ask(auth: Auth) -> None:
    """R40, and the role is what the account has now, not what a token says."""
    for number, roles in enumerate(["{}", "{admin}", "{user}", "{services}", "{SERVICE}"]):
        made = await auth.sign_up(f"a{number}@example.com")
        await fetch(auth.database.url, f"UPDATE users SET roles = '{roles}' WHERE email = 'a{number}@example.com'")
        failed = await failure(get(auth, made.tokens, [made.user.id]))
        assert (failed.code, failed.reason) == (grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED")
        assert failed.facts == {"required_role": "service"}


async def test_a_refused_caller_learns_nothing_of_the_request(auth: Auth) -> None:
    made = await auth.sign_up()
    failures = [await failure(get(auth, made.tokens, ids)) for ids in ([], ["rubbish"], [made.user.id] * 101)]
    assert {failed.reason for failed in failures} == {"PERMISSION_DENIED"}


async def test_a_batch_has_one_to_a_hundred_ids(auth: Auth, service: Tokens) -> None:
    ids = [str(uuid4()) for _ in range(101)]
    assert list((await get(auth, service, ids[:100])).missing_ids) == ids[:100]
    for wrong in ([], ids):
        assert (await failure(get(auth, service, wrong))).violations == {"ids": "must have 1 to 100 items"}


async def test_each_id_that_is_none_is_named_by_its_place(auth: Auth, service: Tokens) -> None:
    failed = await failure(get(auth, service, [str(uuid4()), "", "rubbish", str(uuid4()), "\0"]))
    assert failed.violations == {"ids[1]": "must be set", "ids[2]": "must be a UUID", "ids[4]": "must be a UUID"}


async def test_of_very_many_that_are_wrong_the_first_fifty_are_told(auth: Auth, service: Tokens) -> None:
    failed = await failure(get(auth, service, ["rubbish"] * 100))
    assert list(failed.violations) == [f"ids[{number}]" for number in range(50)]
    assert failed.message.endswith("ids[9]: must be a UUID; and more")
