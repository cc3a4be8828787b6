"""docker-compose.yml hands each container what it needs and no more, and production takes what it hands over."""

import asyncio
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from auth_service.config import AuthConfig
from chat_service.config import ChatConfig
from chat_service.live import Live
from protos.chat.v1 import conversation_service_pb2, conversation_service_pb2_grpc
from shared import config as settings
from shared import metrics, ops, tls
from shared.background import Background
from shared.config import ServiceConfig
from shared.ops import Readiness
from shared.redis_link import RedisLink
from tests.authtest import SERVICE_KEY, Auth, auth_config, bearer, running_auth
from tests.chattest import chat_config, running_chat
from tests.grpc_errors import failure
from tests.servers import ROOT, Servers, TestDatabase, fresh_database
from tools import certificates

DEPLOY = ROOT / "deploy"


class _Loader(yaml.SafeLoader):
    """Knows the tag by which one file takes back what another one says."""


_Loader.add_constructor("!reset", lambda *_: [])


def load(path: Path) -> dict[str, Any]:
    with path.open() as file:
        return dict(yaml.load(file, _Loader))


COMPOSE = load(ROOT / "docker-compose.yml")
SCALE = load(DEPLOY / "compose.scale.yml")
TLS = load(DEPLOY / "compose.tls.yml")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
EVERYTHING = SERVICES | {"gateway": SCALE["services"]["gateway"]}
CONFIGS = {"auth": AuthConfig, "chat": ChatConfig}
# What the image or the file fixes, and what comes from a secret's file.
FIXED = {f"{name}_{it}" for name in ("AUTH", "CHAT") for it in ("HOST", "PORT", "OPS_HOST", "OPS_PORT")}
every_service = pytest.mark.parametrize("name", EVERYTHING)
both_configs = pytest.mark.parametrize("name", CONFIGS)


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compose") / "secrets"
    make_secrets(folder)
    return folder


def make_secrets(folder: Path) -> None:
    subprocess.run([DEPLOY / "secrets.sh", folder], check=True, cwd=folder.parent)


def handed_over(container: str, secrets: Path, to: Path) -> Path:
    """The folder of secrets as this container sees it."""
    to.mkdir(exist_ok=True)
    for source, target in secrets_of(SERVICES[container]):
        shutil.copy(secrets / source, to / target)
    return to


def secrets_of(service: dict[str, Any]) -> list[tuple[str, str]]:
    """The secrets of a container, and the names that they have there."""
    given = service.get("secrets", [])
    return [(each, each) if isinstance(each, str) else (each["source"], each["target"]) for each in given]


def said(container: str) -> dict[str, str]:
    """The environment that the file gives a container where nothing around it is set."""
    given = SERVICES[container]["environment"].items()
    texts = {name: re.sub(r"\$\{\w+:-(.*?)\}", r"\1", str(value)) for name, value in given if value is not None}
    return {name: text for name, text in texts.items() if name != "PARLEY_SECRETS_DIR"}


@pytest.fixture
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in list(os.environ):
        if name.startswith(("AUTH_", "CHAT_", "REDIS_", "PARLEY_", "LOG_", "APP_")):
            monkeypatch.delenv(name)
    return monkeypatch


@every_service
def test_a_container_has_no_right_that_it_does_not_need(name: str) -> None:
    service = EVERYTHING[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert "cap_add" not in service


@every_service
def test_a_container_has_limits_an_init_and_a_pinned_image(name: str) -> None:
    service = EVERYTHING[name]
    assert {"cpus", "memory", "pids"} == service["deploy"]["resources"]["limits"].keys()
    assert service["init"] is True
    assert re.fullmatch(r"[\w./-]+:(?!latest$)[\w.-]+", service["image"])
    assert service["restart"] == ("no" if name.endswith("-migrate") else "unless-stopped")


@every_service
def test_what_is_published_is_published_on_the_loopback_alone(name: str) -> None:
    assert [port for port in EVERYTHING[name].get("ports", []) if not port.startswith("127.0.0.1:")] == []


def test_postgres_and_redis_can_be_reached_from_the_inner_network_only() -> None:
    assert COMPOSE["networks"]["data"] == {"internal": True}
    for name in ("postgres", "redis"):
        assert SERVICES[name]["networks"] == ["data"]
        assert "ports" not in SERVICES[name]
    on_data = {name for name, service in SERVICES.items() if "data" in service["networks"]}
    assert on_data == {"postgres", "redis", "auth", "chat", "auth-migrate", "chat-migrate"}


def test_every_secret_is_made_and_every_one_that_is_made_is_handed_over(secrets: Path) -> None:
    assert {file.name for file in secrets.iterdir()} == COMPOSE["secrets"].keys()
    used = {source for service in SERVICES.values() for source, _ in secrets_of(service)}
    assert used == COMPOSE["secrets"].keys()
    for name, secret in COMPOSE["secrets"].items():
        assert secret == {"file": f"${{PARLEY_SECRETS_DIR:-.parley-secrets}}/{name}"}


def test_secrets_are_for_their_owner_alone_and_no_two_are_the_same(secrets: Path) -> None:
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in secrets.iterdir()} == {0o444}
    # What both ends must know to prove it to each other is the same at both.
    values = [file.read_text() for file in secrets.iterdir() if file.name != "chat_service_key"]
    assert len(set(values)) == len(values)
    assert (secrets / "chat_service_key").read_text() == (secrets / "auth_service_keys").read_text()
    assert min(len(value) for value in values) > 40


def test_making_secrets_again_changes_none_and_adds_the_missing_one(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    make_secrets(folder)
    before = {file.name: file.read_text() for file in folder.iterdir()}
    (folder / "chat_master_key").unlink()
    make_secrets(folder)
    after = {file.name: file.read_text() for file in folder.iterdir()}
    assert {name for name in before if before[name] != after[name]} == {"chat_master_key"}


def test_two_places_have_different_secrets(secrets: Path, tmp_path: Path) -> None:
    make_secrets(tmp_path / "secrets")
    assert [f.name for f in secrets.iterdir() if f.read_text() == (tmp_path / "secrets" / f.name).read_text()] == []


@both_configs
@pytest.mark.parametrize("suffix", ["", "-migrate"])
def test_a_service_starts_in_production_with_just_the_secrets_of_its_container(
    name: str, suffix: str, secrets: Path, tmp_path: Path, bare_environment: pytest.MonkeyPatch
) -> None:
    for variable, value in said(name + suffix).items():
        bare_environment.setenv(variable, value)
    bare_environment.setenv("PARLEY_SECRETS_DIR", str(handed_over(name + suffix, secrets, tmp_path / "run")))
    config = settings.read(CONFIGS[name])
    assert config.production
    role = f"parley_{name}_owner" if suffix else f"parley_{name}"
    password = (secrets / f"{role.removeprefix('parley_')}_password").read_text().strip()
    assert config.owner_url == f"postgresql://{role}:{password}@postgres:5432/parley_{name}"
    assert len(config.key_ring.present) == 32
    user, password_file = ("parley", "redis_password") if name == "auth" else ("parley_chat", "redis_chat_password")
    redis_password = (secrets / password_file).read_text().strip()
    assert config.redis_url.get_secret_value() == f"redis://{user}:{redis_password}@redis:6379/0"


@both_configs
def test_with_the_file_for_tls_a_service_starts_in_production_without_any_plaintext_grpc(
    name: str, secrets: Path, tmp_path: Path, bare_environment: pytest.MonkeyPatch
) -> None:
    """R54."""
    certificates.write(tmp_path / "tls")
    added = TLS["services"][name]
    (mount,) = added["volumes"]
    assert (mount["target"], mount["read_only"]) == ("/run/tls", True)
    assert mount["source"] == f"${{PARLEY_SECRETS_DIR:-.parley-secrets}}/tls/{name}"
    for variable, value in (said(name) | added["environment"]).items():
        bare_environment.setenv(variable, value.replace("/run/tls", str(tmp_path / "tls" / name)))
    bare_environment.setenv("PARLEY_SECRETS_DIR", str(handed_over(name, secrets, tmp_path / "run")))
    config = settings.read(CONFIGS[name])
    assert (config.production, config.allow_plaintext) == (True, False)
    assert config.tls is not None
    assert tls.read(config.tls).identity is not None
    assert (config.tls.authority is not None) == (name == "auth")
    if isinstance(config, ChatConfig):
        assert config.auth_tls is not None
        assert tls.read(config.auth_tls).identity is not None


@pytest.mark.parametrize("secret", ["auth_database_url", "redis_url"])
def test_production_refuses_a_secret_that_anyone_can_guess(
    secret: str,
    secrets: Path,
    tmp_path: Path,
    bare_environment: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = handed_over("auth", secrets, tmp_path / "run")
    url = (secrets / secret).read_text()
    (folder / secret).unlink()
    (folder / secret).write_text(re.sub(r":[^:@]+@", ":change-me@", url))
    for variable, value in said("auth").items():
        bare_environment.setenv(variable, value)
    bare_environment.setenv("PARLEY_SECRETS_DIR", str(folder))
    with pytest.raises(SystemExit) as ended:
        settings.read(AuthConfig)
    assert ended.value.code == 2
    assert f"{secret.upper()}: production refuses a password that anyone can guess" in capsys.readouterr().err


def test_the_owners_passwords_reach_postgres_and_the_migrations_only() -> None:
    holders = {
        name: [source for source, _ in secrets_of(service) if "owner" in source or "migration" in source]
        for name, service in SERVICES.items()
    }
    assert {name for name, held in holders.items() if held} == {"postgres", "auth-migrate", "chat-migrate"}
    assert not [source for source, _ in secrets_of(SERVICES["auth"]) if source.startswith("chat")]
    assert not [source for source, _ in secrets_of(SERVICES["chat"]) if source.startswith("auth")]


@both_configs
def test_every_setting_reaches_the_container(name: str) -> None:
    config: type[ServiceConfig] = CONFIGS[name]
    known = {str(field.validation_alias or f"{name}_{it}".upper()) for it, field in config.model_fields.items()}
    by_file = {target.upper() for it in (name, f"{name}-migrate") for _, target in secrets_of(SERVICES[it])}
    passed = SERVICES[name]["environment"].keys()
    assert passed == SERVICES[f"{name}-migrate"]["environment"].keys()
    assert passed - {"PARLEY_SECRETS_DIR"} == known - by_file - FIXED
    assert SERVICES[name]["environment"]["APP_ENV"] == "${APP_ENV:-production}"


@both_configs
def test_the_grace_that_compose_gives_is_longer_than_the_one_that_the_service_takes(name: str) -> None:
    taken = CONFIGS[name].model_fields["shutdown_grace_seconds"].default
    assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) >= taken + 5


@both_configs
@pytest.mark.parametrize(("serving", "code"), [(True, 0), (False, 1)])
def test_the_health_check_tells_who_serves_from_who_does_not(name: str, serving: object, code: int) -> None:
    _, python, flag, program = SERVICES[name]["healthcheck"]["test"]
    assert (python, flag) == ("python", "-c")
    port = CONFIGS[name].model_fields["ops_port"].default
    assert str(port) in program
    with ops.listening("127.0.0.1", 0, Readiness(serving=bool(serving))) as free:
        outcome = subprocess.run([sys.executable, "-c", program.replace(str(port), str(free))], check=False)
    assert outcome.returncode == code


@both_configs
def test_the_health_check_fails_where_nobody_listens(name: str) -> None:
    program = SERVICES[name]["healthcheck"]["test"][-1].replace("910", "10")  # ports that need rights to listen on
    assert subprocess.run([sys.executable, "-c", program], check=False, capture_output=True).returncode != 0


def test_the_pools_of_eight_replicas_fit_into_postgres_and_the_alert_comes_before_its_end() -> None:
    (granted,) = re.findall(r"max_connections=(\d+)", " ".join(SERVICES["postgres"]["command"]))
    alerts = (DEPLOY / "prometheus" / "alerts.yml").read_text()
    (threshold,) = re.findall(r'state=~"in_use\|idle"\}\) > (\d+)', alerts)
    assert int(threshold) == int(granted) * 3 // 4
    assert f"Postgres grants {granted}" in alerts
    assert int(granted) - 10 >= 8 * (20 + 2)


def test_the_databases_are_made_with_every_password_that_the_bootstrap_asks_for() -> None:
    script = (DEPLOY / "postgres" / "init.sh").read_text()
    asked = set(re.findall(r"^\\getenv \w+ (\w+)$", (ROOT / "shared" / "bootstrap.sql").read_text(), re.MULTILINE))
    given = dict(re.findall(r"^(PARLEY_\w+)=\$\(cat /run/secrets/(\w+)\)$", script, re.MULTILINE))
    assert len(asked) == 4
    assert given.keys() == asked
    assert {variable.removeprefix("PARLEY_").lower(): file for variable, file in given.items()} == {
        file: file for file in given.values()
    }
    assert set(given.values()) < set(SERVICES["postgres"]["secrets"])


def test_a_script_that_a_container_runs_can_be_run() -> None:
    scripts = [*DEPLOY.rglob("*.sh")]
    assert len(scripts) == 3
    for script in scripts:
        assert os.access(script, os.X_OK)
        assert subprocess.run(["sh", "-n", script], check=False).returncode == 0


def test_everything_that_is_mounted_or_copied_exists() -> None:
    mounted = [
        volume.split(":")[0]
        for service in EVERYTHING.values()
        for volume in service.get("volumes", [])
        if volume.startswith("./")
    ]
    copied = re.findall(r"^COPY (?!--from)(\S+) ", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert len(mounted) > 5
    assert [path for path in [*mounted, *copied] if not (ROOT / path).exists()] == []
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    assert {line.removeprefix("!") for line in ignored if line.startswith("!")} == set(copied)


def test_the_image_runs_as_nobody_in_particular_and_says_production() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    final = dockerfile.rpartition("\nFROM ")[2]
    assert re.search(r"^USER [1-9]\d{3,}:[1-9]\d{3,}$", final, re.MULTILINE)
    assert "APP_ENV=production" in final
    assert "--require-hashes" in dockerfile
    assert not re.search(r"pip|apt-get|gcc", final)
    assert not re.search(r"^# *syntax|--mount", dockerfile, re.MULTILINE)


def test_replicas_leave_the_published_ports_to_the_gateway() -> None:
    gateway = SCALE["services"]["gateway"]
    for name, port in (("auth", 50051), ("chat", 50052)):
        assert SCALE["services"][name]["ports"] == []
        assert any(published.endswith(f":{port}") for published in gateway["ports"])
        assert any(published.endswith(f":{port}") for published in SERVICES[name]["ports"])
    balanced = (DEPLOY / "haproxy" / "haproxy.cfg").read_text()
    assert re.findall(r"server-template (\w+) 8 (\w+:\d+)", balanced) == [
        ("auth", "auth:50051"),
        ("chat", "chat:50052"),
    ]
    assert re.findall(r"http-check connect port (\d+)", balanced) == ["9101", "9102"]


@asynccontextmanager
async def least_user(servers: Servers, name: str) -> AsyncIterator[tuple[str, Redis]]:
    """A user of deploy/redis/users.acl on the Redis of the tests, by its URL, and who looks over its shoulder."""
    default, *users = (DEPLOY / "redis" / "users.acl").read_text().splitlines()
    assert default == "user default off"
    [words] = [user.split() for user in users if user.split()[1] == name]
    rules = [">of-this-test" if word.endswith("PASSWORD_DIGEST@") else word for word in words[2:]]
    async with Redis.from_url(servers.redis.url, decode_responses=True) as admin:
        await admin.execute_command("ACL", "SETUSER", name, *rules)
        await admin.acl_log_reset()
        yield f"redis://{name}:of-this-test@127.0.0.1:{servers.redis.port}/0", admin
        await admin.acl_deluser(name)


@pytest.fixture
async def auths_user(servers: Servers) -> AsyncIterator[tuple[str, Redis]]:
    async with least_user(servers, "parley") as found:
        yield found


@pytest.fixture
async def chats_user(servers: Servers) -> AsyncIterator[tuple[str, Redis]]:
    async with least_user(servers, "parley_chat") as found:
        yield found


async def test_auths_user_of_redis_may_do_all_that_auth_does(
    auth_database: TestDatabase, auths_user: tuple[str, Redis]
) -> None:
    url, admin = auths_user
    async with running_auth(auth_database, auth_config(auth_database, url, log_ins_per_address_per_minute=2)) as auth:
        tokens = (await auth.sign_up()).tokens
        verified = await auth.verify(tokens.access_token)
        assert verified.active
        assert await admin.exists(f"parley:session:{verified.session_id}") == 1
        reasons = [(await failure(auth.log_in(password="not the password"))).reason for _ in range(3)]
        await auth.log_out(tokens)
        assert not (await auth.verify(tokens.access_token)).active
    assert reasons == ["INVALID_CREDENTIALS", "INVALID_CREDENTIALS", "RATE_LIMITED"]
    assert await admin.acl_log() == []


@pytest.mark.parametrize("command", ["FLUSHALL", "CONFIG GET *", "KEYS *", "ACL WHOAMI", "SCRIPT FLUSH", "GET other"])
async def test_auths_user_of_redis_may_do_nothing_else(auths_user: tuple[str, Redis], command: str) -> None:
    url, _ = auths_user
    async with Redis.from_url(url) as redis:
        assert await redis.ping()
        with pytest.raises(NoPermissionError):
            await redis.execute_command(*command.split())


async def test_chats_user_of_redis_may_do_all_that_chat_does(
    auth: Auth, servers: Servers, chats_user: tuple[str, Redis]
) -> None:
    url, admin = chats_user
    made = await auth.sign_up()
    async with fresh_database(servers, "chat") as database:
        config = chat_config(database, url, f"127.0.0.1:{auth.server.port}", service_key=SERVICE_KEY)
        async with running_chat(database, config) as chat, asyncio.timeout(20):
            lists = conversation_service_pb2_grpc.ConversationServiceStub(chat.channel).ListConversations
            known = metrics.token_sources.labels("cache")
            before = known._value.get()
            while known._value.get() == before:
                await lists(conversation_service_pb2.ListConversationsRequest(), metadata=bearer(made.tokens))
    assert await admin.acl_log() == []


async def test_chats_user_of_redis_may_pass_on_what_its_replicas_tell_each_other(
    chats_user: tuple[str, Redis],
) -> None:
    url, admin = chats_user
    async with Background() as background:
        link = RedisLink(url)
        live = Live(link, url)
        background.spawn("redis link", link.run())
        background.spawn("live", live.run())
        async with asyncio.timeout(10):
            await link.connected.wait()
        with live.subscribed("anything") as subscription:
            assert await subscription.next(10) is None
            assert await admin.publish("parley:chat:anything", b"8 bytes.and a text") == 1
            assert await subscription.next(10) == b"and a text"
        live.publish("anything", b"to nobody")
        await link.command("PING")
    assert await admin.acl_log() == []


@pytest.mark.parametrize(
    "command",
    [
        "SET parley:session:x y",
        "DEL parley:user:x",
        "GET parley:user:x",
        "MGET other",
        "PUBLISH parley:other x",
        "SUBSCRIBE other",
        "PSUBSCRIBE *",
    ],
)
async def test_chats_user_of_redis_may_write_no_session_and_read_nothing_else(
    chats_user: tuple[str, Redis], command: str
) -> None:
    """Whoever takes over chat cannot make anybody an administrator in the cache that auth reads."""
    url, _ = chats_user
    async with Redis.from_url(url) as redis:
        with pytest.raises(NoPermissionError):
            await redis.execute_command(*command.split())
