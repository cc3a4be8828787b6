"""Child processes of the local stack: each in a session of its own, with a log, and ended within a bounded time.

A session of its own keeps the terminal's Ctrl-C away from the child: whoever started it decides when it ends.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_POLL_SECONDS = 0.02
_LOG_BYTES = 10_000_000


class ProcessError(Exception):
    """A process did not do as asked; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The user and group that a process runs as."""

    user: int
    group: int


class Child:
    """A running child process and the part of its log that it has written."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str],
        account: Account | None = None,
        folder: Path = Path("/"),
        text: str = "",
    ) -> None:
        """Start the command in a folder with *text* as its input; as another account only root can."""
        self.log = log
        self.log_begin = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 (the caller's own command)
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                cwd=folder,
                env=environment,
                user=None if account is None else account.user,
                group=None if account is None else account.group,
                extra_groups=None if account is None else [],
                umask=0o077,
                start_new_session=True,
            )
        self.pid = self._process.pid
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError), self._process.stdin as stdin:
                stdin.write(text.encode())

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative after a signal; None while the process lives."""
        return self._process.poll()

    def end(self, *steps: tuple[signal.Signals, float]) -> None:
        """Send each signal and wait so many seconds for the end; then kill the process with its whole session."""
        if self.running:
            _end(self.pid, lambda: not self.running, *steps)

    def output(self) -> str:
        """What the process has written to its log."""
        return read_from(self.log, self.log_begin)

    def last_lines(self, count: int = 15) -> str:
        """The end of the output, indented, for a message about a failure."""
        return "".join(f"\n  {line}" for line in self.output().splitlines()[-count:])


def wait_until(done: Callable[[], bool], seconds: float) -> bool:
    """Wait for a condition; False when it did not come about in time."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def end_leftover(pid: int, *marks: str) -> bool:
    """End a process of a former run if its command line still has all the marks; whether there was one."""

    def gone() -> bool:
        line = command_line(pid)
        return not all(mark in line for mark in marks)

    if gone():
        return False
    _end(pid, gone, (signal.SIGTERM, 5), (signal.SIGINT, 10))
    return True


def command_line(pid: int) -> str:
    """The command line of a process; empty when there is no such process, or a dead one."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    command = ["ps", "-ww", "-o", "args=", "-p", str(pid)]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (ps, wherever it is)
    return listed.stdout.strip()


def read_from(path: Path, begin: int) -> str:
    """The text of a file from a byte on, or all of it where it has become shorter than that."""
    with path.open("rb") as file:
        file.seek(begin if begin <= path.stat().st_size else 0)
        return file.read().decode(errors="replace")


def rotate(log: Path) -> None:
    """Set a log aside that has grown large."""
    if log.exists() and log.stat().st_size > _LOG_BYTES:
        log.replace(log.with_suffix(".old.log"))


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    unfinished.replace(path)


def _end(pid: int, gone: Callable[[], bool], *steps: tuple[signal.Signals, float]) -> None:
    for number, patience in steps:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            os.kill(pid, signal.SIGCONT)  # a stopped process would not see the signal
        if wait_until(gone, patience):
            return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    if not wait_until(gone, 10):
        raise ProcessError(f"Process {pid} does not end. End it by hand: kill -9 {pid}")
