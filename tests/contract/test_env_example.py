"""`.env.example` lists every setting, with the default that it has in the code and a line that says what it is for."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

import pytest
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from auth_service.config import AuthConfig
from chat_service.config import ChatConfig
from tests.servers import ROOT

EXAMPLE = (ROOT / ".env.example").read_text()
CONFIGS = (AuthConfig, ChatConfig)
NOT_OF_A_SERVICE = {
    "PARLEY_SECRETS_DIR",
    "PARLEY_DATA_DIR",
    "PARLEY_TLS_DIR",
    "PARLEY_LOCAL_MODEL",
    "GATEWAY_HOST",
    "GATEWAY_PORT",
    "GATEWAY_OPS_PORT",
    "GATEWAY_ORIGINS",
    "PROMETHEUS_PORT",
    "ALERTMANAGER_PORT",
    "GRAFANA_PORT",
    "GRPC_EXPERIMENTS",
}


@dataclass(frozen=True)
class Line:
    """A setting as the file has it; one that must be set has no `#` before it."""

    must_be_set: bool
    value: str
    explained: bool


def listed() -> dict[str, Line]:
    found: dict[str, Line] = {}
    explained = False
    for text in EXAMPLE.splitlines():
        setting = re.fullmatch(r"(#?)([A-Z][A-Z_]+)=(.*)", text)
        if setting is None:
            explained = bool(re.fullmatch(r"# .+[.:]", text))
            continue
        assert setting[2] not in found, f"{setting[2]} is listed twice"
        found[setting[2]] = Line(must_be_set=not setting[1], value=setting[3], explained=explained)
    return found


def settings(config: type[BaseSettings]) -> Iterator[tuple[str, FieldInfo]]:
    prefix = config.model_config["env_prefix"]
    for name, field in config.model_fields.items():
        yield str(field.validation_alias or f"{prefix}{name}".upper()), field


def as_text(default: Any) -> str:
    if default is None:
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    return str(default.value if isinstance(default, Enum) else default)


@pytest.mark.parametrize("config", CONFIGS)
def test_every_setting_is_listed_with_the_default_that_it_has(config: type[BaseSettings]) -> None:
    lines = listed()
    expected = {name: None if field.is_required() else as_text(field.default) for name, field in settings(config)}
    assert len(expected) > 10
    assert {name: None if lines[name].must_be_set else lines[name].value for name in expected} == expected


def test_nothing_is_listed_that_does_not_exist() -> None:
    known = {name for config in CONFIGS for name, _ in settings(config)} | NOT_OF_A_SERVICE
    assert listed().keys() - known == set()


def test_every_setting_is_explained_by_the_line_before_it() -> None:
    lines = listed()
    assert len(lines) > 30
    assert {name for name, line in lines.items() if not line.explained} == set()


@pytest.mark.parametrize("config", CONFIGS)
def test_the_example_by_itself_starts_nothing(config: type[BaseSettings], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, line in listed().items():
        if line.must_be_set:
            monkeypatch.setenv(name, line.value)
    with pytest.raises(ValueError, match="random bytes"):
        config()


@pytest.mark.parametrize("config", CONFIGS)
def test_production_refuses_the_passwords_of_the_example(
    config: type[BaseSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, line in listed().items():
        if line.must_be_set:
            monkeypatch.setenv(name, line.value)
    monkeypatch.setenv(f"{config.model_config['env_prefix']}MASTER_KEY", "7yQxkS1mZ0qf8m2gq0Xw3vJvC6dKc5tq1nB9hLr4YtE=")
    assert config().model_fields_set >= {"master_key"}
    monkeypatch.setenv("APP_ENV", "production")
    with pytest.raises(ValueError, match="anyone can guess"):
        config()


def test_a_setting_that_a_config_adds_is_missed_here() -> None:
    class Larger(AuthConfig):
        model_config = SettingsConfigDict(env_prefix="AUTH_")

        more: int = 1

    assert {name for name, _ in settings(Larger)} - listed().keys() == {"AUTH_MORE"}
