"""What the commands read from the environment, and the one sentence for what is wrong in it."""

import socket
from pathlib import Path

import pytest

from shared.embedded import free_port
from tools import settings
from tools.ui import Refusal


def test_the_defaults_are_the_documented_ports_on_the_loopback_address() -> None:
    chosen = settings.read({})
    assert chosen.listeners["auth"].target == "127.0.0.1:50051"
    assert chosen.listeners["chat"].target == "127.0.0.1:50052"
    assert chosen.listeners["auth"].ops_url == "http://127.0.0.1:9101"
    assert chosen.listeners["chat"].ops_url == "http://127.0.0.1:9102"
    assert chosen.data_dir == settings.ROOT / ".parley"
    assert chosen.servers == settings.Servers()


def test_a_relative_data_folder_is_taken_from_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert settings.read({"PARLEY_DATA_DIR": "state"}).data_dir == tmp_path / "state"


@pytest.mark.parametrize("value", ["abc", "0", "65536", "-1", "50051 ", "\u0665\u0660"])
def test_a_port_that_is_none_is_refused_by_the_name_of_its_variable(value: str) -> None:
    with pytest.raises(Refusal, match=r"CHAT_OPS_PORT is .*: give a port from 1 to 65535"):
        settings.read({"CHAT_OPS_PORT": value})


@pytest.mark.parametrize("name", ["AUTH_DATABASE_URL", "CHAT_DATABASE_URL"])
def test_one_database_without_the_other_is_refused(name: str) -> None:
    with pytest.raises(Refusal, match="both AUTH_DATABASE_URL and CHAT_DATABASE_URL"):
        settings.read({name: "postgresql://somewhere/parley"})


def test_a_given_database_is_migrated_by_its_own_role_where_one_is_named() -> None:
    given = {
        "AUTH_DATABASE_URL": "postgresql://serving@db/auth",
        "AUTH_MIGRATION_DATABASE_URL": "postgresql://owner@db/auth",
        "CHAT_DATABASE_URL": "postgresql://both@db/chat",
    }
    databases = settings.read(given).servers.databases
    assert databases is not None
    assert databases["auth"].owner_url == "postgresql://owner@db/auth"
    assert databases["chat"].owner_url == "postgresql://both@db/chat"


def test_addresses_with_passwords_do_not_show_in_a_repr() -> None:
    given = {f"{name}_DATABASE_URL": "postgresql://u:hidden@db/x" for name in ("AUTH", "CHAT")}
    assert "hidden" not in repr(settings.read(given | {"REDIS_URL": "redis://:hidden@cache"}))


@pytest.mark.parametrize(
    ("host", "reached"), [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]"), ("10.1.2.3", "10.1.2.3")]
)
def test_a_service_on_every_address_is_reached_on_the_loopback_one(host: str, reached: str) -> None:
    assert settings.read({"AUTH_HOST": host}).listeners["auth"].target == f"{reached}:50051"


def test_a_taken_port_is_refused_with_its_variable() -> None:
    chosen = settings.read({}).with_free_ports()
    chosen.require_free_ports()
    with socket.create_server(("127.0.0.1", chosen.listeners["chat"].port)), pytest.raises(Refusal) as refusal:
        chosen.require_free_ports()
    assert f"Port {chosen.listeners['chat'].port} on 127.0.0.1 is not free" in str(refusal.value)
    assert "set CHAT_PORT to another" in str(refusal.value)


def test_one_port_for_two_things_is_refused_with_both_variables() -> None:
    port = str(free_port())
    with pytest.raises(Refusal, match=f"AUTH_PORT and AUTH_OPS_PORT are both {port}"):
        settings.read({"AUTH_PORT": port, "AUTH_OPS_PORT": port}).require_free_ports()


def test_a_folder_of_certificates_makes_a_stack_with_tls_and_one_service_alone_is_refused(tmp_path: Path) -> None:
    assert settings.read({}).tls_dir is None
    assert settings.read({"PARLEY_TLS_DIR": str(tmp_path)}).tls_dir == tmp_path
    with pytest.raises(Refusal, match="CHAT_AUTH_CA_FILE is for a service that is started by hand"):
        settings.read({"CHAT_AUTH_CA_FILE": "ca.pem"})


def test_a_local_model_is_wanted_unless_one_says_no() -> None:
    assert settings.read({}).local_model
    assert not settings.read({"PARLEY_LOCAL_MODEL": "False"}).local_model
    with pytest.raises(Refusal, match="PARLEY_LOCAL_MODEL is 'no': give true or false"):
        settings.read({"PARLEY_LOCAL_MODEL": "no"})
