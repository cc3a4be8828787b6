"""`python -m tools run`, as somebody types it: what it prints works, and it leaves nothing behind."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from shared.embedded import free_port, scratch_folder
from shared.local_model import LocalModel
from shared.processes import command_line, wait_until
from tools import certificates
from tools.folder import DataFolder, Stack
from tools.settings import ROOT
from tools.stack import running_stack

PORTS = ("AUTH_PORT", "CHAT_PORT", "AUTH_OPS_PORT", "CHAT_OPS_PORT")


class Run:
    """A `run` in the background, with its output in a file; `mark` stands in what it prints when it is ready."""

    command, mark = "run", "Metrics: "

    def __init__(self, data_dir: Path, **settings: str) -> None:
        self.data_dir = data_dir
        self.output = data_dir.parent / f"{data_dir.name}.{time.monotonic_ns()}.out"
        self.environment = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
        self.environment |= {name: str(free_port()) for name in PORTS}
        self.environment |= {"PARLEY_DATA_DIR": str(data_dir), "PARLEY_LOCAL_MODEL": "false"} | settings
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tools", self.command],
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.environment,
                start_new_session=True,
                # Under nohup the tests ignore SIGHUP, and a child would inherit that.
                preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # noqa: PLW1509 - takes no lock
            )

    def ready(self) -> Stack:
        wait_until(lambda: self.process.poll() is not None or self.mark in self.text(), 90)
        stack = running_stack(self.data_dir)
        assert stack is not None, self.text()
        return stack

    def text(self) -> str:
        return self.output.read_text()

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.exit_code()

    def exit_code(self) -> int:
        return self.process.wait(60)


@pytest.fixture
def folder() -> Iterator[Path]:
    with scratch_folder() as path:
        yield path


@contextlib.contextmanager
def running(data_dir: Path, kind: type[Run] = Run, **settings: str) -> Iterator[Run]:
    run = kind(data_dir, **settings)
    try:
        yield run
    finally:
        if run.process.poll() is None:
            run.end(signal.SIGTERM)


def left_behind(data_dir: Path, stack: Stack | None = None) -> list[str]:
    """The command lines of what still runs on the folder, or of what the stack consisted of."""
    servers = [] if stack is None else [stack.postgres_pid, stack.redis_pid, stack.model_pid]
    pids = [] if stack is None else [stack.auth_pid, stack.chat_pid, *filter(None, servers)]
    mine = [process.info for process in psutil.process_iter(["pid", "cmdline"])]
    return [
        " ".join(info["cmdline"])
        for info in mine
        if info["cmdline"] and (info["pid"] in pids or str(data_dir) in " ".join(info["cmdline"]))
    ]


def secrets_of(data_dir: Path) -> list[str]:
    return [file.read_text() for file in (data_dir / "secrets").iterdir()]


@pytest.mark.parametrize("tls", [False, True], ids=["plaintext", "TLS"])
def test_the_printed_calls_do_the_main_job_and_ctrl_c_leaves_nothing_behind(folder: Path, tls: object) -> None:
    settings = {"PARLEY_LOCAL_MODEL": "true"}
    if tls:
        certificates.write(folder / "tls")
        settings["PARLEY_TLS_DIR"] = str(folder / "tls")
    with running(folder / "state", **settings) as run:
        stack = run.ready()
        printed = re.search(r"^# Sign up.*?(?=^# The same by name)", run.text(), re.DOTALL | re.MULTILINE)
        assert printed is not None
        script = re.sub(r"(?<!/)\.venv/bin/", f"{Path(sys.executable).parent}/", printed[0])
        done = subprocess.run(["bash", "-euc", script], capture_output=True, check=False, text=True, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        before, after = done.stdout.index('"active": true'), done.stdout.index('"inactiveReason"')
        assert before < done.stdout.index('"Hello"') < done.stdout.rindex('"refreshToken"') < after
        assert not LocalModel.available() or done.stdout.count('"INTERACTION_STATE_COMPLETED"') == 1
        assert call(run, "LogIn", '{"email": "ada@example.com", "password": "a walk in the long rain"}').returncode == 0
        shown = " ".join(" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"]))
        assert not [secret for secret in secrets_of(run.data_dir) if secret in shown or secret in run.text()]
        assert run.end(signal.SIGINT) == 0
    assert run.text().rstrip().endswith("Stopped.")
    assert left_behind(run.data_dir, stack) == []
    assert not (run.data_dir / "stack.json").exists()


def test_accounts_survive_a_restart(folder: Path) -> None:
    account = '{"email": "kept@example.com", "password": "a walk in the long rain"}'
    with running(folder / "state") as run:
        run.ready()
        assert call(run, "SignUp", account).returncode == 0
        assert run.end(signal.SIGTERM) == 0
    with running(folder / "state") as run:
        run.ready()
        assert call(run, "LogIn", account).returncode == 0
        refused = call(run, "SignUp", account)
        assert (refused.returncode, "reason: EMAIL_TAKEN" in refused.stderr) == (1, True)


def call(run: Run, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools", "call", *arguments]
    return subprocess.run(command, capture_output=True, check=False, text=True, env=run.environment, cwd=ROOT)


def test_a_second_run_on_the_same_folder_is_refused_and_the_first_goes_on(folder: Path) -> None:
    with running(folder / "state") as first:
        stack = first.ready()
        with running(first.data_dir) as second:
            assert second.exit_code() == 2
            assert f"Parley already runs on {first.data_dir} (process {first.process.pid})" in second.text()
        assert running_stack(first.data_dir) == stack


def test_a_taken_port_is_one_sentence_and_exit_code_2(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        with running(folder / "state", CHAT_OPS_PORT=port) as run:
            assert run.exit_code() == 2
    assert re.fullmatch(rf"Port {port} on 127.0.0.1 is not free .*: set CHAT_OPS_PORT to another.*\n", run.text())
    assert left_behind(run.data_dir) == []


def test_a_setting_that_a_service_refuses_is_its_sentence_and_exit_code_2(folder: Path) -> None:
    with running(folder / "state", APP_ENV="staging") as run:
        assert run.exit_code() == 2
    assert "APP_ENV" in run.text().splitlines()[-1]
    assert "Traceback" not in run.text()
    assert left_behind(run.data_dir) == []


def test_a_terminal_that_goes_away_stops_the_stack(folder: Path) -> None:
    with running(folder / "state") as run:
        stack = run.ready()
        assert run.end(signal.SIGHUP) == 0
        assert left_behind(run.data_dir, stack) == []


@pytest.mark.parametrize("seconds", [0.3, 0.8, 1.3])
def test_a_start_that_is_interrupted_leaves_nothing_behind(folder: Path, seconds: float) -> None:
    with running(folder / "state") as run:
        wait_until(lambda: DataFolder(run.data_dir).is_locked(), 10)
        time.sleep(seconds)
        assert run.end(signal.SIGINT) == 0
        assert left_behind(run.data_dir) == []


def test_a_service_that_dies_ends_the_stack_with_its_last_lines(folder: Path) -> None:
    with running(folder / "state") as run:
        stack = run.ready()
        os.kill(stack.chat_pid, signal.SIGKILL)
        assert run.exit_code() == 1
        assert "chat stopped (exit code -9). Its last lines" in run.text()
        assert left_behind(run.data_dir, stack) == []


def test_what_a_killed_run_leaves_behind_is_ended_by_the_next(folder: Path) -> None:
    ports = {name: str(free_port()) for name in PORTS}
    with running(folder / "state", **ports) as killed:
        left = killed.ready()
        assert killed.end(signal.SIGKILL) == -signal.SIGKILL
        assert command_line(left.auth_pid)
    with running(folder / "state", **ports) as run:
        stack = run.ready()
        assert not command_line(left.auth_pid)
        assert not command_line(left.chat_pid)
        assert stack.auth_target == left.auth_target
        assert run.end(signal.SIGINT) == 0
        assert left_behind(run.data_dir, stack) == []


def test_a_redis_that_dies_comes_back(folder: Path) -> None:
    with running(folder / "state") as run:
        stack = run.ready()
        assert stack.redis_pid is not None
        os.kill(stack.redis_pid, signal.SIGKILL)
        assert wait_until(lambda: "Redis is back." in run.text(), 30), run.text()
        again = running_stack(run.data_dir)
        assert again is not None
        assert again.redis_pid not in (None, stack.redis_pid)
        assert again.redis_url == stack.redis_url


def test_a_provider_of_ones_own_leaves_no_work_to_the_local_model(folder: Path) -> None:
    own = {"CHAT_PROVIDER_URL": "http://127.0.0.1:9/v1", "CHAT_PROVIDER_MODEL": "mine", "CHAT_PROVIDER_API_KEY": "k-0"}
    with running(folder / "state", PARLEY_LOCAL_MODEL="true", **own) as run:
        stack = run.ready()
        assert (stack.model, stack.model_pid) == ("mine", None)
        environments = [psutil.Process(pid).environ() for pid in (stack.auth_pid, stack.chat_pid)]
    assert [it.get("CHAT_PROVIDER_API_KEY") for it in environments] == [None, "k-0"]
