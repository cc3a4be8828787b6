"""`python -m auth_service …`: what it says and does when it cannot serve, and how operators grant roles."""

import re
import socket

import pytest

from protos.auth.v1.account_service_pb2 import GetProfileRequest
from protos.auth.v1.admin_service_pb2 import BatchGetUsersRequest
from protos.auth.v1.service_accounts_pb2 import IssueServiceTokenRequest
from tests.auth.processes import environment, run
from tests.authtest import Auth, bearer
from tests.grpc_errors import failure
from tests.servers import Servers, TestDatabase, fetch, make_master_key


async def grant(auth: Auth, servers: Servers, *arguments: str) -> str:
    ended = await run(environment(auth.database, servers.redis.url), "grant-roles", *arguments)
    assert (ended.code, ended.errors) == (0, "")
    return ended.output


async def test_granted_roles_count_from_the_next_call_on_though_the_account_was_cached(
    auth: Auth, servers: Servers
) -> None:
    """R40: granting is a write like any other, with an event, and deletes what the cache has."""
    made = await auth.sign_up()

    async def roles() -> list[str]:
        profile = await auth.account.GetProfile(GetProfileRequest(), metadata=bearer(made.tokens))
        return list(profile.user.roles)

    assert await roles() == []
    said = await grant(auth, servers, "ADA@example.com", "service", "admin", "service")
    assert said == "ada@example.com has the roles admin, service from its next call on\n"
    assert await roles() == ["admin", "service"]
    assert list((await auth.verify(made.tokens.access_token)).roles) == ["admin", "service"]
    request = BatchGetUsersRequest(ids=[made.user.id])
    assert (await auth.admin.BatchGetUsers(request, metadata=bearer(made.tokens))).users[0].id == made.user.id

    assert await grant(auth, servers, "ada@example.com") == "ada@example.com has no role from its next call on\n"
    assert await roles() == []
    refused = await failure(auth.admin.BatchGetUsers(request, metadata=bearer(made.tokens)))
    assert (refused.reason, refused.facts) == ("PERMISSION_DENIED", {"required_role": "service"})
    events = await fetch(auth.database.url, "SELECT user_id::text FROM audit_events WHERE type = 'ROLES_CHANGED'")
    assert [event["user_id"] for event in events] == [made.user.id] * 2


async def test_roles_for_nobody_are_refused_with_a_sentence(auth_database: TestDatabase, servers: Servers) -> None:
    ended = await run(environment(auth_database, servers.redis.url), "grant-roles", "nobody@example.com", "admin")
    assert (ended.code, ended.output, ended.errors) == (1, "", "There is no such user.\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["ada@example.com", "root"], "'root' is not a role: choose from admin, service, user"),
        (["ada", "admin"], "'ada' is not an email address"),
    ],
)
async def test_a_role_or_an_address_that_is_none_is_refused_with_a_sentence(
    auth_database: TestDatabase, servers: Servers, arguments: list[str], sentence: str
) -> None:
    ended = await run(environment(auth_database, servers.redis.url), "grant-roles", *arguments)
    assert ended.code == 2
    assert sentence in ended.errors


@pytest.mark.parametrize("variable", ["AUTH_PORT", "AUTH_OPS_PORT"])
async def test_a_taken_port_is_one_sentence_and_exit_code_2(
    auth_database: TestDatabase, servers: Servers, variable: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = await run(environment(auth_database, servers.redis.url, **{variable: port}))
    assert (ended.code, ended.output) == (2, "")
    *logged, sentence = ended.errors.splitlines()
    assert sentence == f"{variable} {port} on 127.0.0.1 cannot be listened on (Address already in use): choose another"
    assert all(line.startswith("{") for line in logged)


async def test_another_master_key_is_one_sentence_and_exit_code_2(auth: Auth, servers: Servers) -> None:
    key = make_master_key()
    ended = await run(environment(auth.database, servers.redis.url, AUTH_MASTER_KEY=key))
    assert ended.code == 2
    assert ended.errors == "AUTH_MASTER_KEY is not the key that the signing keys in this database were sealed with\n"


async def test_settings_that_are_missing_or_wrong_are_a_sentence_each_and_exit_code_2() -> None:
    ended = await run({"AUTH_DATABASE_URL": "mysql://root:hidden@db/auth", "AUTH_PORT": "all"})
    assert (ended.code, ended.output) == (2, "")
    assert sorted(ended.errors.splitlines()) == [
        "AUTH_DATABASE_URL must begin with postgresql:// or postgres://",
        "AUTH_MASTER_KEY is not set: see .env.example",
        "AUTH_PORT must be a valid integer, unable to parse string as an integer",
        "REDIS_URL is not set: see .env.example",
    ]


async def test_a_postgres_out_of_reach_is_one_sentence_without_its_password(servers: Servers) -> None:
    nowhere = TestDatabase(url="postgresql://auth:hidden-word@127.0.0.1:1/auth", owner_url="")
    for command in ("serve", "migrate"):
        ended = await run(environment(nowhere, servers.redis.url), command)
        assert ended.code == 1
        assert ended.errors.splitlines()[-1].startswith("cannot reach Postgres (")
        assert "Traceback" not in ended.errors
        assert "hidden-word" not in ended.errors


async def test_migrations_of_a_newer_version_are_one_sentence(auth_database: TestDatabase, servers: Servers) -> None:
    await fetch(auth_database.owner_url, "INSERT INTO schema_migrations VALUES (9999, '9999_later', 'x')")
    ended = await run(
        environment(auth_database, servers.redis.url, AUTH_MIGRATION_DATABASE_URL=auth_database.owner_url), "migrate"
    )
    assert (ended.code, ended.errors) == (1, "the database has migration 9999, which this version does not know\n")


async def test_the_role_that_serves_may_not_migrate_and_is_told_so(
    auth_database: TestDatabase, servers: Servers
) -> None:
    """R55."""
    ended = await run(environment(auth_database, servers.redis.url), "migrate")
    assert ended.code == 1
    assert ended.errors.endswith(": does the database URL name the role that owns the tables?\n")


async def test_a_service_account_can_be_made_before_there_is_an_administrator(auth: Auth, servers: Servers) -> None:
    """R12: no account exists until somebody makes one, and this one works at once."""
    options = ("--role", "service", "--audience", "auth", "--audience", "chat", "--scope", "users.read")
    key = {"AUTH_MASTER_KEY": auth.config.master_key.get_secret_value()}
    settings = environment(auth.database, servers.redis.url, **key)
    ended = await run(settings, "create-service-account", "ops", *options)
    assert (ended.code, ended.errors) == (0, "")
    client_id, secret = re.findall(r"^client (?:id|secret): +(\S+)$", ended.output, re.MULTILINE)
    request = IssueServiceTokenRequest(client_id=client_id, client_secret=secret, audiences=["auth"])
    token = (await auth.auth.IssueServiceToken(request)).access_token
    looking_up = BatchGetUsersRequest(ids=[client_id])
    found = await auth.admin.BatchGetUsers(looking_up, metadata=bearer(token))
    assert (found.users[0].display_name, list(found.users[0].roles)) == ("ops", ["service"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["ops"], "--audience"),
        (["ops", "--audience", "The Chat"], "'The Chat' is not the name of a service"),
        (["ops", "--audience", "chat", "--role", "user"], "invalid choice: 'user'"),
        (["ops", "--audience", "chat", "--scope", "all"], "invalid choice: 'all'"),
        (["", "--audience", "chat"], "a name has 1 to 100 characters"),
    ],
)
async def test_a_service_account_that_cannot_be_is_refused_with_a_sentence(
    auth_database: TestDatabase, servers: Servers, arguments: list[str], sentence: str
) -> None:
    ended = await run(environment(auth_database, servers.redis.url), "create-service-account", *arguments)
    assert ended.code == 2
    assert sentence in ended.errors
