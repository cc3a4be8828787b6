"""The data folder: its lock, its secrets and its ports."""

import base64
import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from tools.folder import DataFolder, Stack
from tools.stack import running_stack
from tools.ui import Refusal

STACK = Stack(
    auth_target="127.0.0.1:1",
    chat_target="127.0.0.1:2",
    auth_ops_url="http://127.0.0.1:3",
    chat_ops_url="http://127.0.0.1:4",
    auth_database_url="postgresql://hidden",
    auth_owner_database_url="postgresql://hidden",
    chat_database_url="postgresql://hidden",
    chat_owner_database_url="postgresql://hidden",
    redis_url="redis://hidden",
    auth_pid=5,
    chat_pid=6,
    postgres_pid=7,
    redis_pid=None,
    ready=True,
)


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return DataFolder(tmp_path / "state")


def test_a_secret_is_made_once_and_only_its_owner_can_read_it(folder: DataFolder) -> None:
    with folder.locked():
        first = folder.secret("redis-password")
        assert folder.secret("redis-password") == first
        assert len(first) > 40
    file = folder.path / "secrets" / "redis-password"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_a_master_key_is_32_bytes_in_base64(folder: DataFolder) -> None:
    with folder.locked():
        assert len(base64.b64decode(folder.master_key("auth-key"), validate=True)) == 32
        assert folder.master_key("auth-key") != folder.master_key("chat-key")


def test_a_second_stack_on_the_folder_is_refused_while_the_first_holds_it(folder: DataFolder) -> None:
    with (
        folder.locked(),
        pytest.raises(Refusal, match=rf"already runs on .*state \(process {os.getpid()}\)"),
        DataFolder(folder.path).locked(),
    ):
        pytest.fail("two stacks hold one folder")
    with DataFolder(folder.path).locked():
        assert folder.is_locked()
    assert not folder.is_locked()


def test_a_folder_that_cannot_be_written_is_refused_with_what_to_set() -> None:
    """Not even root may make a folder in /proc."""
    with pytest.raises(Refusal, match="set PARLEY_DATA_DIR"), DataFolder(Path("/proc/parley")).locked():
        pytest.fail("the folder cannot be made")


def test_a_file_in_the_place_of_the_folder_is_refused_with_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(Refusal, match="set PARLEY_DATA_DIR"), DataFolder(tmp_path / "state").locked():
        pytest.fail("a file is no folder")


def test_a_server_keeps_its_port_until_somebody_else_takes_it(folder: DataFolder) -> None:
    with folder.locked():
        port = folder.port("postgres")
        assert folder.port("postgres") == port
        with socket.create_server(("127.0.0.1", port)):
            assert folder.port("postgres") != port


def test_a_stack_is_found_only_while_it_is_held_and_ready(folder: DataFolder) -> None:
    assert running_stack(folder.path) is None
    with folder.locked():
        assert running_stack(folder.path) is None
        folder.describe(replace(STACK, ready=False))
        assert running_stack(folder.path) is None
        folder.describe(STACK)
        assert running_stack(folder.path) == STACK
    assert running_stack(folder.path) is None


def test_the_description_is_private_and_a_damaged_one_counts_as_none(folder: DataFolder) -> None:
    with folder.locked():
        folder.describe(STACK)
        assert (folder.path / "stack.json").stat().st_mode & 0o777 == 0o600
        (folder.path / "stack.json").write_text('{"auth_pid": 5')
        assert folder.described() is None
        (folder.path / "stack.json").write_text('{"auth_pid": 5}')
        assert folder.described() is None


def test_the_addresses_of_a_stack_do_not_show_in_a_repr() -> None:
    assert "hidden" not in repr(STACK)
