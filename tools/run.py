"""`run`: the whole stack in the foreground, with ready-made calls and the services' logs."""

import os
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial

from shared.processes import Child
from tools import examples, interrupts, settings
from tools.catcher import CaughtMail, MailFolder
from tools.interrupts import Interrupted
from tools.launch import Launch, launched, service_of, stopped
from tools.ui import Failure, say

_POLL_SECONDS = 0.1
_RESTART_SECONDS = 5.0
_MOST_LINES = 200
_MOST_LOG_BYTES = 64_000_000
_COLOURS = {"auth": "\x1b[36m", "chat": "\x1b[35m", "mail": "\x1b[33m", "gateway": "\x1b[34m"}


def run() -> None:
    """Start Postgres, Redis and both services, and stay until Ctrl-C."""
    begin = time.monotonic()
    if sys.stdout.isatty():
        os.environ.setdefault("LOG_FORMAT", "console")
    try:
        with launched(settings.read(), model=True) as launch:
            stay(examples.text(launch.stack), time.monotonic() - begin, launch, {})
    except Interrupted:
        say("Stopped.")


def stay(calls: str, seconds: float, launch: Launch | None, more: Mapping[str, Child]) -> None:
    """Print the calls, then the logs, until an interruption; `more` are processes beside those of a launch."""
    try:
        say(f"\n[bold green]Parley is ready[/bold green] after {seconds:.1f} s. Ctrl-C stops it.\n")
        print(calls, flush=True)
        _watch(launch, more)
    except Interrupted:
        say("\nStopping …")
        raise
    except OSError as error:
        # Nobody reads our output any more: what is still to be written must not fail either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise Interrupted from error


def _watch(launch: Launch | None, more: Mapping[str, Child]) -> None:
    children = {**(launch.services if launch else {}), **more}
    duties: list[Callable[[], None]] = [_Log(name, child).show for name, child in children.items()]
    duties.append(partial(_bury, children))
    if launch is not None:
        duties.insert(0, partial(_show_new, MailFolder(launch.folder.mails)))
        duties += [_Watch(name, launch).look_after for name in launch.servers]
    parent = os.getppid()
    while True:
        interrupts.check()
        for duty in duties:
            duty()
        # A Ctrl-C reaches make and us alike, but nobody tells us when make is killed.
        if "MAKELEVEL" in os.environ and os.getppid() != parent:
            raise Interrupted
        time.sleep(_POLL_SECONDS)


def _show_new(mails: MailFolder) -> None:
    for mail in mails.new():
        _show(mail)


def _show(mail: CaughtMail) -> None:
    """A mail that was caught, with the code and the link that one would be sent."""
    lines = [f"To: {mail.to}", f"Subject: {mail.subject}", "", *mail.text.rstrip().splitlines()]
    prefix = _prefix("mail")
    sys.stdout.write("".join(f"{prefix}{line}\n" for line in lines))
    sys.stdout.flush()


def _prefix(name: str) -> str:
    colour, plain = (_COLOURS[service_of(name)], "\x1b[0m") if sys.stdout.isatty() else ("", "")
    return f"{colour}{name}{plain} │ "


def _bury(children: dict[str, Child]) -> None:
    """Take out what has ended, where another replica goes on with its work; where none does, all ends."""
    for name, child in [(name, child) for name, child in children.items() if not child.running]:
        del children[name]
        if service_of(name) not in map(service_of, children):
            raise Failure(str(stopped(name, child)))
        say(f"{name} is gone; the others go on.")


class _Log:
    """What a service writes, shown line by line under its name."""

    def __init__(self, name: str, child: Child) -> None:
        self._path = child.log
        self._file = child.log.open("rb")
        self._file.seek(child.log_begin)
        self._unfinished = b""
        self._prefix = _prefix(name)

    def show(self) -> None:
        """Print the lines that are new; of a flood only the last ones."""
        whole, newline, self._unfinished = (self._unfinished + self._file.read()).rpartition(b"\n")
        if not newline:
            return
        lines = whole.decode(errors="replace").split("\n")
        if len(lines) > _MOST_LINES:
            lines[:-_MOST_LINES] = [f"… {len(lines) - _MOST_LINES} lines more in {self._path}"]
        sys.stdout.write("".join(f"{self._prefix}{line}\n" for line in lines))
        sys.stdout.flush()
        if self._file.tell() > _MOST_LOG_BYTES:
            os.truncate(self._path, 0)  # the service appends, so it goes on at the new end
            self._file.seek(0)


class _Watch:
    """Brings a local server back that has died, after a pause in which one can see how the services do without."""

    def __init__(self, name: str, launch: Launch) -> None:
        self._name = name
        self._launch = launch
        self._restart_at: float | None = None

    def look_after(self) -> None:
        """Notice the death of the server, and start it again when the pause is over."""
        if self._launch.servers[self._name].running:
            return
        if self._restart_at is None:
            self._restart_at = time.monotonic() + _RESTART_SECONDS
            say(f"{self._name} is gone; it starts again in {_RESTART_SECONDS:.0f} s.")
        elif time.monotonic() > self._restart_at:
            self._launch.restart(self._name)
            self._restart_at = None
            say(f"{self._name} is back.")
