"""Health and the failures of Postgres and Redis: what callers see, and that it passes by itself (F05, F15)."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from prometheus_client import REGISTRY

from protos.auth.v1.account_service_pb2 import GetProfileRequest, UpdateProfileRequest
from protos.auth.v1.auth_service_pb2 import LogOutRequest
from shared import migrate
from shared.embedded import LocalPostgres, LocalRedis, bootstrap, free_port, scratch_folder
from tests.authtest import Auth, auth_config, bearer, running_auth
from tests.grpc_errors import code_of, failure
from tests.servers import PASSWORDS, ROOT, Servers, TestDatabase, fetch

SERVING, NOT_SERVING = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING
SERVICES = ["", "auth.v1.AuthService", "auth.v1.AccountService", "auth.v1.AdminService"]


async def health(auth: Auth, service: str = "") -> int:
    return int((await HealthStub(auth.channel).Check(HealthCheckRequest(service=service))).status)


@asynccontextmanager
async def watching(auth: Auth, service: str) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    """Waits, on the health stream, until a service has a status."""
    stream = HealthStub(auth.channel).Watch(HealthCheckRequest(service=service))

    async def until(status: int) -> None:
        async with asyncio.timeout(15):
            while (await stream.read()).status != status:
                pass

    yield until
    stream.cancel()


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[tuple[LocalPostgres, TestDatabase]]:
    with scratch_folder() as folder:
        postgres = LocalPostgres(folder / "postgres", free_port())  # a kill must lose nothing
        postgres.start()
        bootstrap(postgres.superuser_url(), PASSWORDS)
        owner = postgres.url("parley_auth", "parley_auth_owner", PASSWORDS.auth_owner)
        asyncio.run(migrate.migrate(owner, ROOT / "auth_service" / "migrations"))
        try:
            yield (
                postgres,
                TestDatabase(url=postgres.url("parley_auth", "parley_auth", PASSWORDS.auth), owner_url=owner),
            )
        finally:
            postgres.stop()


@pytest.fixture
def own_redis() -> Iterator[LocalRedis]:
    with scratch_folder() as folder:
        redis = LocalRedis(Path(folder) / "redis", free_port(), password="x")
        redis.start()
        yield redis
        redis.stop()


async def test_every_service_and_dependency_is_reported_as_serving(auth: Auth) -> None:
    names = [*SERVICES, "postgres", "redis"]
    assert [await health(auth, name) for name in names] == [SERVING] * len(names)
    assert await code_of(health(auth, "nobody")) is grpc.StatusCode.NOT_FOUND


async def test_without_postgres_calls_fail_at_once_and_all_is_well_again_by_itself(
    servers: Servers, own_postgres: tuple[LocalPostgres, TestDatabase]
) -> None:
    """F15."""
    postgres, database = own_postgres
    async with running_auth(database, auth_config(database, servers.redis.url)) as auth:
        made = await auth.sign_up()
        async with watching(auth, "auth.v1.AuthService") as until:
            await until(SERVING)
            postgres.kill()
            await until(NOT_SERVING)
            assert [await health(auth, name) for name in SERVICES] == [NOT_SERVING] * len(SERVICES)
            assert (await health(auth, "postgres"), await health(auth, "redis")) == (NOT_SERVING, SERVING)
            rename = UpdateProfileRequest(user={"display_name": "Ada"})
            started = time.monotonic()
            for call in (
                auth.log_in(),
                auth.sign_up("eve@example.com"),
                auth.refresh(made.tokens.refresh_token),
                auth.account.UpdateProfile(rename, metadata=bearer(made.tokens)),
                auth.auth.LogOut(LogOutRequest(), metadata=bearer(made.tokens)),
            ):
                failed = await failure(call)
                assert (failed.code, failed.reason) == (grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE")
                assert failed.message == "The service cannot reach what it needs: try again."
            assert time.monotonic() - started < 2  # none waited for a timeout
            postgres.start()
            started = time.monotonic()
            await until(SERVING)
            assert time.monotonic() - started < 5
        assert (await auth.verify(made.tokens.access_token)).session_id == made.session.id
        assert (await auth.log_in()).user == made.user
        assert [await health(auth, name) for name in (*SERVICES, "postgres")] == [SERVING] * 5


async def test_a_stopped_and_a_terminated_connection_cost_no_restart(auth: Auth, servers: Servers) -> None:
    """F15: what an operator or a failover does to connections."""
    made = await auth.sign_up()
    await fetch(
        servers.postgres.superuser_url(),
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'parley-auth%'",
    )
    async with asyncio.timeout(10):
        while True:
            try:
                assert (await auth.log_in()).user == made.user
                break
            except grpc.aio.AioRpcError as error:
                assert error.code() is grpc.StatusCode.UNAVAILABLE  # noqa: PT017


async def test_without_redis_the_service_is_degraded_and_serves(
    auth_database: TestDatabase, own_redis: LocalRedis
) -> None:
    """F05, R58."""
    async with running_auth(auth_database, auth_config(auth_database, own_redis.url)) as auth:
        made = await auth.sign_up()
        async with watching(auth, "redis") as until:
            await until(SERVING)
            own_redis.kill()
            await until(NOT_SERVING)
            assert REGISTRY.get_sample_value("parley_dependency_up", {"dependency": "redis"}) == 0
            assert [await health(auth, name) for name in (*SERVICES, "postgres")] == [SERVING] * 5
            assert (await auth.verify(made.tokens.access_token)).active
            profile = await auth.account.GetProfile(GetProfileRequest(), metadata=bearer(made.tokens))
            assert profile.user == made.user
            assert (await auth.log_in()).user == made.user
            assert (await auth.refresh(made.tokens.refresh_token)).tokens.access_token
            own_redis.start()
            await until(SERVING)
            assert REGISTRY.get_sample_value("parley_dependency_up", {"dependency": "redis"}) == 1
        assert (await auth.verify(made.tokens.access_token)).active


def reflected(port: int) -> list[str]:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        return sorted(ProtoReflectionDescriptorDatabase(channel).get_services())


async def test_reflection_tells_every_service_in_development(auth: Auth) -> None:
    told = await asyncio.to_thread(reflected, auth.server.port)
    assert {"auth.v1.AuthService", "auth.v1.AccountService", "auth.v1.AdminService"} <= set(told)
    assert "grpc.health.v1.Health" in told


@pytest.mark.parametrize(("asked", "there"), [({}, False), ({"AUTH_REFLECTION": True}, True)])
async def test_reflection_is_off_in_production_unless_it_is_asked_for(
    servers: Servers,
    auth_database: TestDatabase,
    asked: dict[str, bool],
    there: bool,  # noqa: FBT001
) -> None:
    """R57."""
    config = auth_config(auth_database, servers.redis.url, APP_ENV="production", **asked)
    async with running_auth(auth_database, config) as auth:
        if there:
            assert "auth.v1.AuthService" in await asyncio.to_thread(reflected, auth.server.port)
        else:
            with pytest.raises(grpc.RpcError) as refused:
                await asyncio.to_thread(reflected, auth.server.port)
            assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert await health(auth) == SERVING
