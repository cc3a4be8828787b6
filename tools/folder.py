"""The data folder of a stack: its lock, its secrets, its ports, and the description of what runs there now."""

import base64
import contextlib
import fcntl
import json
import os
import secrets
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from shared.embedded import RolePasswords, free_port
from shared.processes import write_private
from tools.ui import Refusal

_LOCK_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A running stack: where its parts are reached, as the serving role and as the owner of the tables."""

    auth_target: str
    chat_target: str
    auth_ops_url: str
    chat_ops_url: str
    auth_database_url: str = field(repr=False)
    auth_owner_database_url: str = field(repr=False)
    chat_database_url: str = field(repr=False)
    chat_owner_database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    auth_pid: int
    chat_pid: int
    postgres_pid: int | None
    redis_pid: int | None
    replica_pids: list[int] = field(default_factory=list)
    ready: bool
    model: str = ""
    model_url: str = ""
    model_pid: int | None = None
    tls_dir: str | None = None
    service_key: str = field(default="", repr=False)


class DataFolder:
    """Files of one stack, readable by their owner only."""

    def __init__(self, path: Path) -> None:
        """Name the folder; it is made when it is first locked."""
        self.path = path
        self.logs = path / "logs"
        self.mails = path / "mails"
        self._lock = path / "lock"
        self._description = path / "stack.json"

    def make(self) -> None:
        """See to it that the folder is there."""
        try:
            # Postgres, which root runs as another user, must be able to pass through.
            self.path.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
            for folder in (self.logs, self.path / "secrets"):
                folder.mkdir(mode=0o700, exist_ok=True)
            self._lock.touch(0o600)
        except OSError as error:
            advice = "set PARLEY_DATA_DIR to a folder of yours."
            raise Refusal(f"The data folder {self.path} cannot be used ({error.strerror}): {advice}") from None

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for one stack; the lock ends with the process, however that ends."""
        self.make()
        lock = os.open(self._lock, os.O_RDWR)
        with os.fdopen(lock, "r+") as file:
            self._take(file.fileno(), file.read())
            file.seek(0)
            file.truncate()
            file.write(str(os.getpid()))
            file.flush()
            yield

    def is_locked(self) -> bool:
        """Whether a stack runs, starts or stops here."""
        try:
            with self._lock.open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def secret(self, name: str) -> str:
        """A random secret of this folder, made when it is first asked for."""
        return self._kept(name, secrets.token_urlsafe(32))

    def master_key(self, name: str) -> str:
        """Like `secret`, for the 32 bytes in base64 that the services take as a key."""
        return self._kept(name, base64.b64encode(secrets.token_bytes(32)).decode())

    def role_passwords(self) -> RolePasswords:
        """The passwords of the four database roles."""
        return RolePasswords(
            auth_owner=self.secret("auth-owner-password"),
            auth=self.secret("auth-password"),
            chat_owner=self.secret("chat-owner-password"),
            chat=self.secret("chat-password"),
        )

    def port(self, name: str) -> int:
        """The port that a local server had the last time, or a new one if that is taken now."""
        file = self.path / f"{name}.port"
        known = file.read_text() if file.exists() else ""
        if known.isdigit() and _is_free(int(known)):
            return int(known)
        port = free_port()
        file.write_text(str(port))
        return port

    def describe(self, stack: Stack) -> None:
        """Keep what runs now, for other commands and for a start after a crash."""
        write_private(self._description, json.dumps(asdict(stack), indent=2))

    def described(self) -> Stack | None:
        """What was described last and not forgotten; after a crash that runs no more."""
        try:
            return Stack(**json.loads(self._description.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def forget(self) -> None:
        """Remove the description: nothing runs any more."""
        self._description.unlink(missing_ok=True)

    def _kept(self, name: str, fresh: str) -> str:
        file = self.path / "secrets" / name
        if not file.exists():
            write_private(file, fresh)
        return file.read_text()

    def _take(self, lock: int, owner: str) -> None:
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                # `is_locked` of another command holds it for a moment.
                if time.monotonic() < deadline:
                    time.sleep(0.05)
                    continue
                advice = "stop it first, or set PARLEY_DATA_DIR to another folder."
                raise Refusal(f"Parley already runs on {self.path} (process {owner}): {advice}") from None
            return


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
