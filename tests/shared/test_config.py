"""Settings of any service: how they are named, and what a setting that cannot be used is told as."""

from pathlib import Path

import pytest

from auth_service.config import AuthConfig
from chat_service.config import ChatConfig
from shared import config
from shared.config import ServiceConfig, Unusable
from tests.servers import make_master_key


@pytest.mark.parametrize(
    ("kind", "name", "variable"),
    [
        (AuthConfig, "port", "AUTH_PORT"),
        (ChatConfig, "port", "CHAT_PORT"),
        (AuthConfig, "REDIS_URL", "REDIS_URL"),
        (ChatConfig, "APP_ENV", "APP_ENV"),
    ],
)
def test_a_setting_has_its_services_prefix_unless_both_share_it(
    kind: type[ServiceConfig], name: str, variable: str
) -> None:
    assert config.variable(kind, name) == variable


def test_a_port_that_cannot_be_listened_on_says_why_in_the_systems_words() -> None:
    taken = Unusable.port("ops_port", "127.0.0.1", 9101, OSError(98, "in the library's words"))
    assert str(taken) == ("ops_port 9101 on 127.0.0.1 cannot be listened on (Address already in use): choose another")
    unknown = Unusable.port("port", "nowhere", 1, OSError(-2, "Name or service not known"))
    assert "(Name or service not known)" in unknown.problem


@pytest.mark.parametrize("kind", [AuthConfig, ChatConfig])
def test_each_service_names_all_that_it_is_not_told(
    kind: type[ServiceConfig], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prefix = config.variable(kind, "")
    names = [f"{prefix}DATABASE_URL", f"{prefix}MASTER_KEY", "REDIS_URL"]
    for name in names:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SystemExit) as ended:
        config.read(kind)
    assert ended.value.code == 2
    assert sorted(capsys.readouterr().err.splitlines()) == [f"{name} is not set: see .env.example" for name in names]


def chat_settings(monkeypatch: pytest.MonkeyPatch, **settings: str) -> None:
    good = {
        "CHAT_DATABASE_URL": "postgresql://chat:9sJdk2nVa8@127.0.0.1/chat",
        "CHAT_MASTER_KEY": make_master_key(),
        "REDIS_URL": "redis://:kd82Jsl19d@127.0.0.1/0",
        "APP_ENV": "production",
        "CHAT_TLS_CERTIFICATE_FILE": "/tls/certificate.pem",
        "CHAT_TLS_KEY_FILE": "/tls/key.pem",
    }
    for name, value in (good | settings).items():
        monkeypatch.setenv(name, value)


def test_production_refuses_plaintext_to_auth_unless_something_else_ends_tls(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """R54."""
    chat_settings(monkeypatch)
    with pytest.raises(SystemExit):
        config.read(ChatConfig)
    assert capsys.readouterr().err == (
        "CHAT_AUTH_CA_FILE is not set: production refuses plaintext to auth, unless CHAT_ALLOW_PLAINTEXT=true says "
        "that a mesh or a sidecar ends TLS\n"
    )
    chat_settings(monkeypatch, CHAT_ALLOW_PLAINTEXT="true")
    assert config.read(ChatConfig).auth_tls is None
    chat_settings(monkeypatch, CHAT_ALLOW_PLAINTEXT="false", CHAT_AUTH_CA_FILE="/tls/ca.pem")
    tls = config.read(ChatConfig).auth_tls
    assert tls is not None
    assert (tls.name, tls.certificate, tls.authority) == ("auth", None, ("auth_ca_file", Path("/tls/ca.pem")))


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        (["CERTIFICATE_FILE", "CA_FILE"], "KEY_FILE"),
        (["KEY_FILE", "CA_FILE"], "CERTIFICATE_FILE"),
        (["CERTIFICATE_FILE", "KEY_FILE"], "CA_FILE"),
    ],
)
def test_half_of_tls_to_auth_is_refused(
    given: list[str], missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chat_settings(monkeypatch, **{f"CHAT_AUTH_{name}": "/tls/file.pem" for name in given})
    with pytest.raises(SystemExit) as ended:
        config.read(ChatConfig)
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"CHAT_AUTH_{given[0]} needs CHAT_AUTH_{missing} beside it\n"
