"""`python -m tools gateway`, as somebody types it: what it prints works, and it leaves nothing behind."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.embedded import free_port, scratch_folder
from shared.processes import command_line, wait_until
from tests.system.test_run import Run, call, left_behind, running
from tools.settings import ROOT


class GatewayRun(Run):
    command, mark = "gateway", "Envoy's metrics: "


@pytest.fixture
def folder() -> Iterator[Path]:
    with scratch_folder() as path:
        yield path


def ports() -> dict[str, str]:
    names = ("AUTH_PORT", "CHAT_PORT", "AUTH_OPS_PORT", "CHAT_OPS_PORT", "GATEWAY_PORT", "GATEWAY_OPS_PORT")
    return {name: str(free_port()) for name in names}


def paste(run: Run) -> subprocess.CompletedProcess[str]:
    """Run what was printed."""
    printed = re.search(r"^# JSON over HTTP.*?(?=^# With grpcurl)", run.text(), re.DOTALL | re.MULTILINE)
    assert printed is not None, run.text()
    script = re.sub(r"(?<![\w/])\.venv/bin/", f"{Path(sys.executable).parent}/", printed[0])
    return subprocess.run(["bash", "-euc", script], capture_output=True, check=False, text=True, cwd=ROOT)


def test_the_printed_calls_work_through_replicas_of_which_one_may_die_and_nothing_is_left(folder: Path) -> None:
    with running(folder / "state", GatewayRun, **ports()) as run:
        stack = run.ready()
        assert len(stack.replica_pids) == 2
        for pid in stack.replica_pids:
            os.kill(pid, signal.SIGKILL)
        assert wait_until(lambda: run.text().count("is gone; the others go on.") == 2, 30), run.text()
        done = paste(run)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count('"title": "Plans"') == 2
        assert done.stdout.index("Plans") < done.stdout.index("401 Unauthorized") < done.stdout.index("REVOKED")
        assert run.end(signal.SIGINT) == 0
    assert run.text().rstrip().endswith("Stopped.")
    assert left_behind(run.data_dir, stack) == []


def test_a_gateway_before_a_stack_that_runs_comes_and_goes_without_it(folder: Path) -> None:
    chosen = ports()
    with running(folder / "state", **chosen) as stack:
        found = stack.ready()
        with running(folder / "state", GatewayRun, **chosen) as run:
            run.ready()
            pid = int((folder / "state" / "gateway" / "envoy.pid").read_text())
            assert run.end(signal.SIGKILL) == -signal.SIGKILL
            assert command_line(pid)
        with running(folder / "state", GatewayRun, **chosen) as run:
            run.ready()
            assert not command_line(pid)
            account = '{"email": "kept@example.com", "password": "a walk in the long rain"}'
            assert call(stack, "SignUp", account).returncode == 0
            assert run.end(signal.SIGTERM) == 0
        assert command_line(found.auth_pid)


def test_a_taken_port_is_one_sentence_and_exit_code_2(folder: Path) -> None:
    chosen = ports()
    with running(folder / "state", GatewayRun, **chosen | {"GATEWAY_OPS_PORT": chosen["GATEWAY_PORT"]}) as run:
        assert run.exit_code() == 2
    assert "GATEWAY_PORT and GATEWAY_OPS_PORT are both" in run.text()
    assert left_behind(run.data_dir) == []
