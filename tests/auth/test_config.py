"""Auth's settings: what is refused, and in which words."""

from collections.abc import Mapping

import pytest

from auth_service.config import AuthConfig
from shared import config
from tests.servers import make_master_key

GOOD = {
    "AUTH_DATABASE_URL": "postgresql://auth:9sJdk2nVa8@db/auth",
    "AUTH_MASTER_KEY": make_master_key(),
    "REDIS_URL": "redis://:kd82Jsl19d@redis/0",
}
# Where a mesh ends TLS, as most tests of production do not ask about it.
PRODUCTION = GOOD | {"APP_ENV": "production", "AUTH_ALLOW_PLAINTEXT": "true", "AUTH_ALLOW_PLAINTEXT_STORES": "true"}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch):
    """Set exactly these settings, and read them."""
    import os  # noqa: PLC0415

    def read(settings: Mapping[str, str]) -> AuthConfig:
        for name in list(os.environ):
            if name.startswith(("AUTH_", "REDIS_", "APP_", "LOG_", "PARLEY_")):
                monkeypatch.delenv(name)
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        return config.read(AuthConfig)

    return read


def test_the_defaults_are_the_documented_ones(environment) -> None:
    read = environment(GOOD)
    assert (read.port, read.ops_port, read.host, read.ops_host) == (50051, 9101, "127.0.0.1", "127.0.0.1")
    assert (read.production, read.reflect) == (False, True)
    assert read.access_token_lifetime.total_seconds() == 600
    assert (read.lifetimes.session.days, read.lifetimes.idle.days) == (90, 30)
    assert (read.pool.max_size, read.pool.min_size) == (10, 2)


def test_production_has_larger_pools_narrower_limits_and_no_reflection(environment) -> None:
    """R57."""
    read = environment(PRODUCTION)
    assert (read.pool.max_size, read.pool.min_size) == (20, 5)
    assert (read.volumes.sign_ups_per_hour, read.volumes.log_ins_per_minute) == (100, 300)
    assert not read.reflect
    assert environment(PRODUCTION | {"AUTH_REFLECTION": "true"}).reflect


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("AUTH_PORT", "all", "AUTH_PORT must be a valid integer, unable to parse string as an integer"),
        ("AUTH_PORT", "-1", "AUTH_PORT must be greater than or equal to 0"),
        ("AUTH_PASSWORD_MIN_LENGTH", "7", "AUTH_PASSWORD_MIN_LENGTH must be greater than or equal to 8"),
        ("AUTH_PASSWORD_MIN_LENGTH", "65", "AUTH_PASSWORD_MIN_LENGTH must be less than or equal to 64"),
        ("AUTH_OPS_PORT", "65536", "AUTH_OPS_PORT must be less than or equal to 65535"),
        ("AUTH_SERVICE_KEYS", "guess", "AUTH_SERVICE_KEYS must be base64"),
        (
            "AUTH_SERVICE_KEYS",
            "7yQxkS1mZ0qf8m2gq0Xw3vJvC6dKc5tq1nB9hLr4YtE=,QUJD",
            "AUTH_SERVICE_KEYS must be base64 of 32 random bytes: `openssl rand -base64 32` makes one",
        ),
        ("AUTH_DATABASE_URL", "mysql://db", "AUTH_DATABASE_URL must begin with postgresql:// or postgres://"),
        ("AUTH_DATABASE_URL", "", "AUTH_DATABASE_URL must begin with postgresql:// or postgres://"),
        (
            "AUTH_MIGRATION_DATABASE_URL",
            "db",
            "AUTH_MIGRATION_DATABASE_URL must begin with postgresql:// or postgres://",
        ),
        ("REDIS_URL", "http://redis", "REDIS_URL must begin with redis:// or rediss:// or unix://"),
        ("AUTH_MASTER_KEY", "not base64!", "AUTH_MASTER_KEY must be base64"),
        ("AUTH_MASTER_KEY", "käse", "AUTH_MASTER_KEY must be base64"),
        ("APP_ENV", "staging", "APP_ENV must be 'development' or 'production'"),
        ("LOG_LEVEL", "LOUD", "LOG_LEVEL must be 'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
        ("LOG_FORMAT", "xml", "LOG_FORMAT must be 'json' or 'console'"),
        ("AUTH_HASH_THREADS", "0", "AUTH_HASH_THREADS must be greater than or equal to 1"),
        ("AUTH_ACCESS_TOKEN_MINUTES", "0", "AUTH_ACCESS_TOKEN_MINUTES must be greater than 0"),
        ("AUTH_ACCESS_TOKEN_MINUTES", "nan", "AUTH_ACCESS_TOKEN_MINUTES must be a finite number"),
        ("AUTH_ACCESS_TOKEN_MINUTES", "61", "AUTH_ACCESS_TOKEN_MINUTES must be less than or equal to 60"),
        ("AUTH_SESSION_DAYS", "366", "AUTH_SESSION_DAYS must be less than or equal to 365"),
        ("AUTH_REFRESH_IDLE_DAYS", "-1", "AUTH_REFRESH_IDLE_DAYS must be greater than 0"),
        ("AUTH_SHUTDOWN_GRACE_SECONDS", "-1", "AUTH_SHUTDOWN_GRACE_SECONDS must be greater than or equal to 0"),
        ("AUTH_REFLECTION", "maybe", "AUTH_REFLECTION must be a valid boolean, unable to interpret input"),
    ],
)
def test_a_bad_setting_is_one_sentence_and_exit_code_2(
    environment, capsys: pytest.CaptureFixture[str], name: str, value: str, sentence: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        environment(GOOD | {name: value})
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"{sentence}\n"


@pytest.mark.parametrize("missing", sorted(GOOD))
def test_a_missing_setting_is_named(environment, capsys: pytest.CaptureFixture[str], missing: str) -> None:
    with pytest.raises(SystemExit) as ended:
        environment({name: value for name, value in GOOD.items() if name != missing})
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"{missing} is not set: see .env.example\n"


@pytest.mark.parametrize("app_env", ["development", "production"])
@pytest.mark.parametrize(
    "key",
    [
        "",
        "c2hvcnQ=",
        "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MA==",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "YWFhYWFhYWFhYWFhYWFhYWJiYmJiYmJiYmJiYmJiYmI=",
    ],
)
def test_a_short_or_monotonous_master_key_is_refused_everywhere(
    environment, capsys: pytest.CaptureFixture[str], app_env: str, key: str
) -> None:
    """R32."""
    with pytest.raises(SystemExit):
        environment(GOOD | {"APP_ENV": app_env, "AUTH_MASTER_KEY": key})
    assert capsys.readouterr().err == (
        "AUTH_MASTER_KEY must be base64 of 32 random bytes: `openssl rand -base64 32` makes one\n"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AUTH_DATABASE_URL", "postgresql://auth:postgres@db/auth"),
        ("AUTH_DATABASE_URL", "postgresql://auth:Change-Me@db/auth"),
        ("AUTH_DATABASE_URL", "postgresql://auth:p%61ssword@db/auth"),
        ("AUTH_DATABASE_URL", "postgresql://db/auth?user=auth&password=secret"),
        ("AUTH_DATABASE_URL", "postgresql://auth:auth@db/auth"),
        ("AUTH_MIGRATION_DATABASE_URL", "postgresql://owner:changeme@db/auth"),
        ("REDIS_URL", "redis://:example@redis/0"),
        ("REDIS_URL", "redis://redis:6379/0"),
        ("REDIS_URL", "redis://parley:@redis:6379/0"),
    ],
)
def test_production_refuses_a_password_that_anyone_knows(
    environment, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    """R55; development takes it."""
    assert environment(GOOD | {name: value}).production is False
    with pytest.raises(SystemExit) as ended:
        environment(PRODUCTION | {name: value})
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"{name}: production refuses a password that anyone can guess\n"


def test_no_secret_shows_in_a_repr_of_the_settings(environment) -> None:
    """R47."""
    shown = repr(environment(GOOD))
    assert "50051" in shown
    assert not [value for value in ("9sJdk2nVa8", "kd82Jsl19d", GOOD["AUTH_MASTER_KEY"]) if value in shown]


def test_secrets_may_come_from_files(environment, tmp_path) -> None:
    for name, value in GOOD.items():
        (tmp_path / name.lower()).write_text(value + "\n")
    read = environment({"PARLEY_SECRETS_DIR": str(tmp_path)})
    assert read.master_key.get_secret_value() == GOOD["AUTH_MASTER_KEY"]
    assert read.redis_url.get_secret_value() == GOOD["REDIS_URL"]


def test_a_folder_of_secrets_that_is_not_there_is_one_sentence(
    environment, capsys: pytest.CaptureFixture[str], tmp_path
) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "missing", tmp_path / "file"):
        with pytest.raises(SystemExit) as ended:
            environment({**GOOD, "PARLEY_SECRETS_DIR": str(folder)})
        assert ended.value.code == 2
        assert capsys.readouterr().err == f"PARLEY_SECRETS_DIR {folder} is not a folder\n"


def refusal(environment, capsys: pytest.CaptureFixture[str], settings: Mapping[str, str]) -> str:
    with pytest.raises(SystemExit) as ended:
        environment(settings)
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_production_refuses_plaintext_grpc_unless_something_else_ends_tls(
    environment, capsys: pytest.CaptureFixture[str]
) -> None:
    """R54; development takes it."""
    assert environment(GOOD).tls is None
    plaintext = PRODUCTION | {"AUTH_ALLOW_PLAINTEXT": "false"}
    assert refusal(environment, capsys, plaintext) == (
        "AUTH_TLS_CERTIFICATE_FILE is not set: production refuses plaintext gRPC, unless AUTH_ALLOW_PLAINTEXT=true "
        "says that a mesh, a sidecar or a gateway ends TLS\n"
    )
    files = {"AUTH_TLS_CERTIFICATE_FILE": "/tls/certificate.pem", "AUTH_TLS_KEY_FILE": "/tls/key.pem"}
    assert environment(plaintext | files).tls.authority is None
    mutual = environment(plaintext | files | {"AUTH_TLS_CLIENT_CA_FILE": "/tls/ca.pem"}).tls
    assert [str(file.path) for file in (mutual.certificate, mutual.key, mutual.authority)] == [
        "/tls/certificate.pem",
        "/tls/key.pem",
        "/tls/ca.pem",
    ]


@pytest.mark.parametrize(
    ("given", "missing"),
    [("CERTIFICATE_FILE", "KEY_FILE"), ("KEY_FILE", "CERTIFICATE_FILE"), ("CLIENT_CA_FILE", "CERTIFICATE_FILE")],
)
def test_half_of_tls_is_refused_everywhere(
    environment, capsys: pytest.CaptureFixture[str], given: str, missing: str
) -> None:
    for settings in (GOOD, PRODUCTION):
        assert refusal(environment, capsys, settings | {f"AUTH_TLS_{given}": "/tls/file.pem"}) == (
            f"AUTH_TLS_{given} needs AUTH_TLS_{missing} beside it\n"
        )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AUTH_DATABASE_URL", "postgresql://auth:9sJdk2nVa8@db/auth"),
        ("AUTH_DATABASE_URL", "postgresql://auth:9sJdk2nVa8@localhost,db:5433/auth"),
        ("AUTH_DATABASE_URL", "postgresql://auth:9sJdk2nVa8@10.0.0.7/auth?sslmode=prefer"),
        ("AUTH_DATABASE_URL", "postgresql:///auth?user=auth&password=9sJdk2nVa8&host=db"),
        ("AUTH_MIGRATION_DATABASE_URL", "postgresql://owner:9sJdk2nVa8@[fd00::7]:5432/auth?sslmode=disable"),
        ("REDIS_URL", "redis://:kd82Jsl19d@redis/0"),
        ("REDIS_URL", "redis://:kd82Jsl19d@192.168.0.7:6379/0"),
    ],
)
def test_production_refuses_plaintext_to_a_postgres_or_redis_elsewhere(
    environment, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    """R54; a private network can be allowed."""
    near = {"AUTH_DATABASE_URL": "postgresql://a:9sJdk2nVa8@127.0.0.1/auth", "REDIS_URL": "redis://:kd82Jsl19d@[::1]/0"}
    assert environment(PRODUCTION | near | {name: value}).production
    refused = refusal(environment, capsys, PRODUCTION | near | {name: value, "AUTH_ALLOW_PLAINTEXT_STORES": "false"})
    remedy = "rediss://" if name == "REDIS_URL" else "?sslmode=verify-full"
    assert refused == (
        f"{name}: production refuses plaintext to another machine: use {remedy}, or in a private network "
        "AUTH_ALLOW_PLAINTEXT_STORES=true\n"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AUTH_DATABASE_URL", "postgresql://auth:9sJdk2nVa8@db/auth?sslmode=verify-full"),
        ("AUTH_DATABASE_URL", "postgresql://auth:9sJdk2nVa8@db,standby/auth?sslmode=verify_ca"),
        ("AUTH_DATABASE_URL", "postgresql://auth:9sJdk2nVa8@localhost,127.0.0.2:5433/auth"),
        ("AUTH_DATABASE_URL", "postgresql:///auth?user=auth&password=9sJdk2nVa8&host=/run/postgresql"),
        ("AUTH_DATABASE_URL", "postgresql://auth:9sJdk2nVa8@%2Frun%2Fpostgresql/auth"),
        ("AUTH_DATABASE_URL", "postgresql://auth:9sJdk2nVa8@[::1]:5432/auth"),
        ("REDIS_URL", "rediss://:kd82Jsl19d@redis/0"),
        ("REDIS_URL", "redis://:kd82Jsl19d@localhost/0"),
        ("REDIS_URL", "unix://:kd82Jsl19d@/run/redis.sock"),
    ],
)
def test_production_takes_stores_over_tls_and_those_of_this_machine(environment, name: str, value: str) -> None:
    """R54."""
    near = {"AUTH_DATABASE_URL": "postgresql://a:9sJdk2nVa8@127.0.0.1/auth", "REDIS_URL": "redis://:kd82Jsl19d@[::1]/0"}
    strict = PRODUCTION | near | {name: value, "AUTH_ALLOW_PLAINTEXT_STORES": "false"}
    assert environment(strict).production


MAIL = {"AUTH_SMTP_URL": "smtp://mail.example.com", "AUTH_MAIL_FROM": "Parley <no-reply@example.com>"}


def test_a_mail_server_needs_somebody_that_mails_are_from(environment, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        environment(GOOD | {"AUTH_SMTP_URL": MAIL["AUTH_SMTP_URL"]})
    assert capsys.readouterr().err == "AUTH_MAIL_FROM is not set: AUTH_SMTP_URL needs it\n"
    assert environment(GOOD).mail_route is None


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("AUTH_SMTP_URL", "mail.example.com", "AUTH_SMTP_URL must be smtp://host:port or smtps://host:port"),
        ("AUTH_MAIL_FROM", "Parley", "AUTH_MAIL_FROM must be an address, as in Parley <no-reply@example.com>"),
    ],
)
def test_a_bad_setting_of_mail_is_one_sentence(
    environment, capsys: pytest.CaptureFixture[str], name: str, value: str, sentence: str
) -> None:
    with pytest.raises(SystemExit):
        environment(GOOD | MAIL | {name: value})
    assert capsys.readouterr().err == f"{sentence}\n"


def test_production_sends_mail_through_tls_unless_it_is_told_otherwise(environment) -> None:
    """R54."""

    def tls(url: str, app_env: str) -> str:
        route = environment(PRODUCTION | MAIL | {"APP_ENV": app_env, "AUTH_SMTP_URL": url}).mail_route
        assert route is not None
        return route[0].tls.value

    assert tls("smtp://mail.example.com", "development") == "offered"
    assert tls("smtp://mail.example.com", "production") == "required"
    assert tls("smtp://mail.example.com?tls=none", "production") == "none"
