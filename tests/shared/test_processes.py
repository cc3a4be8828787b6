"""Child processes: their log, their end, and what a former run left."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shared.processes import Child, command_line, end_leftover, rotate, wait_until, write_private

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
)


def python(code: str, log: Path, **options: str) -> Child:
    return Child([sys.executable, "-c", code], log=log, environment=dict(os.environ), **options)


def test_a_child_writes_to_its_log_and_only_its_own_part_is_its_output(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("of a former child\n")
    child = python("import sys; print(input()); print('wrong', file=sys.stderr); sys.exit(3)", log, text="hello\n")
    assert wait_until(lambda: not child.running, 10)
    assert child.exit_code == 3
    assert sorted(child.output().split()) == ["hello", "wrong"]
    assert child.last_lines(1) == f"\n  {child.output().splitlines()[-1]}"
    assert log.read_text().startswith("of a former child\n")


def test_a_child_that_ignores_the_first_signal_is_killed(tmp_path: Path) -> None:
    child = python(STUBBORN, tmp_path / "log")
    assert wait_until(lambda: "deaf" in child.output(), 10)
    child.end((signal.SIGTERM, 0.2))
    assert child.exit_code == -signal.SIGKILL


def test_a_stopped_child_ends_in_order(tmp_path: Path) -> None:
    child = python("import time; time.sleep(60)", tmp_path / "log")
    os.kill(child.pid, signal.SIGSTOP)
    child.end((signal.SIGTERM, 10))
    assert child.exit_code == -signal.SIGTERM


def test_a_child_is_in_a_session_of_its_own_so_that_ctrl_c_does_not_reach_it(tmp_path: Path) -> None:
    child = python("import time; time.sleep(60)", tmp_path / "log")
    try:
        assert os.getsid(child.pid) == child.pid != os.getsid(0)
    finally:
        child.end()


def test_a_leftover_is_ended_only_if_its_command_line_has_every_mark(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", str(tmp_path)])
    try:
        assert wait_until(lambda: str(tmp_path) in command_line(other.pid), 10)
        assert not end_leftover(other.pid, "time.sleep", "something else")
        assert other.poll() is None
        assert end_leftover(other.pid, "time.sleep", str(tmp_path))
        assert other.wait(10) == -signal.SIGTERM
        assert not end_leftover(other.pid, "time.sleep")
    finally:
        other.kill()
        other.wait()


def test_waiting_ends_when_the_time_is_over() -> None:
    begin = time.monotonic()
    assert not wait_until(lambda: False, 0.1)
    assert time.monotonic() - begin < 5


def test_a_private_file_is_readable_by_its_owner_only_even_where_it_replaces_another(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("old")
    file.chmod(0o644)
    write_private(file, "new")
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("new", 0o600)
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]


@pytest.mark.parametrize(("size", "kept"), [(10_000_000, ["auth.log"]), (10_000_001, ["auth.old.log"])])
def test_a_log_is_set_aside_when_it_has_grown_large(tmp_path: Path, size: int, kept: list[str]) -> None:
    log = tmp_path / "auth.log"
    with log.open("wb") as file:
        file.truncate(size)
    rotate(log)
    assert [entry.name for entry in tmp_path.iterdir()] == kept
