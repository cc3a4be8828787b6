"""Settings of any service: how they are named, and what a setting that cannot be used is told as."""

import pytest

from auth_service.config import AuthConfig
from chat_service.config import ChatConfig
from shared import config
from shared.config import ServiceConfig, Unusable


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
