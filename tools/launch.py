"""Starts everything in order, and stops it in the reverse order however the command ends."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import ip_address

from shared.embedded import LocalPostgres, LocalRedis, bootstrap
from shared.local_model import LocalModel
from shared.processes import Child, end_leftover, rotate, wait_until
from tools import certificates, channels, interrupts
from tools.catcher import Catcher
from tools.folder import DataFolder, Stack
from tools.provider import Provider
from tools.settings import ROOT, Database, Listener, Settings
from tools.ui import Failure, Refusal, say, step

_MIGRATION_SECONDS = 300.0
_HEALTHY_SECONDS = 60.0
_GRACE_SECONDS = 20.0
_SERVICES = ("auth", "chat")
SECRETS = (
    {"AUTH_SERVICE_KEYS", "CHAT_SERVICE_KEY"}
    | {f"{name}_{it}" for name in ("AUTH", "CHAT") for it in ("DATABASE_URL", "MIGRATION_DATABASE_URL", "MASTER_KEY")}
    | {"AUTH_SMTP_URL", "CHAT_PROVIDER_API_KEY", "CHAT_PROVIDERS"}
)
_BAD_SETTING = 2
_MAIL_FROM = "Parley <no-reply@parley.test>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What a start has brought up: the stack, and the processes behind it that are ours."""

    stack: Stack
    services: Mapping[str, Child]
    listeners: Mapping[str, Listener]
    servers: Mapping[str, LocalPostgres | LocalRedis | LocalModel]
    folder: DataFolder

    def targets(self, service: str) -> list[str]:
        """Where each replica of a service listens."""
        return [listener.target for name, listener in self.listeners.items() if service_of(name) == service]

    def restart(self, name: str) -> None:
        """Start a server again that has died."""
        self.servers[name].start()
        pids = {name: server.pid for name, server in self.servers.items()}
        described = replace(self.stack, postgres_pid=pids.get("Postgres"), redis_pid=pids.get("Redis"))
        self.folder.describe(replace(described, model_pid=pids.get("Model")))


@contextlib.contextmanager
def launched(settings: Settings, *, durable: bool = True, replicas: int = 1, model: bool = False) -> Iterator[Launch]:
    """Start everything that the settings ask for, each service in so many replicas, of which the first has its port.

    durable=False is for data that need not outlive the command; model=True is for what asks a model.
    """
    folder = DataFolder(settings.data_dir)
    with interrupts.raising(), folder.locked():
        _end_leftovers(folder)
        settings.require_free_ports()
        provider = Provider(settings, folder, wanted=model)
        start = _Start(settings, folder, provider, durable=durable, replicas=replicas)
        try:
            yield start.launch()
        finally:
            with interrupts.ignored():
                start.undo()


def service_of(name: str) -> str:
    """The service of a replica: auth of auth-2."""
    return name.partition("-")[0]


def stopped(what: str, child: Child) -> Refusal | Failure:
    """The error for a child that should not have ended: a bad setting is its own one sentence."""
    if child.exit_code == _BAD_SETTING:
        return Refusal(child.output().strip())
    return Failure(
        f"{what} stopped (exit code {child.exit_code}). Its last lines, from {child.log}:{child.last_lines()}"
    )


class _Start:
    """The steps of one start, and their undoing."""

    def __init__(
        self, settings: Settings, folder: DataFolder, provider: Provider, *, durable: bool, replicas: int
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._provider = provider
        self._listeners = _replicas(settings.listeners, folder, replicas)
        self._children: list[Child] = []
        self._postgres = self._redis = None
        if settings.servers.databases is None:
            self._postgres = LocalPostgres(folder.path / "postgres", folder.port("postgres"), durable=durable)
        if settings.servers.redis_url is None:
            password = folder.secret("redis-password")
            self._redis = LocalRedis(folder.path / "redis", folder.port("redis"), password=password)
        self._tls_dir = None if settings.tls_dir is None else str(settings.tls_dir)
        self._catcher = None
        if settings.servers.smtp_url is None:
            self._catcher = Catcher(folder.mails, folder.port("smtp"))
        local = {"Postgres": self._postgres, "Redis": self._redis}
        self._servers = {name: server for name, server in local.items() if server is not None}

    def launch(self) -> Launch:
        """Bring everything up, and return when both services are healthy."""
        self._provider.begin()
        if self._servers:
            with step(f"{' and '.join(self._servers)} on this machine"):
                _in_parallel([server.start for server in self._servers.values()])
        if self._postgres is not None and self._postgres.relocated:
            wanted, actual = self._folder.path / "postgres", self._postgres.data_dir
            say(f"  Postgres will not run as root, and user nobody cannot reach {wanted}: its data is in {actual}")
        databases = self._databases()
        with step("Databases, roles and migrations"):
            if self._postgres is not None:
                bootstrap(self._postgres.superuser_url(), self._folder.role_passwords())
            self._migrate(databases)
        if self._catcher is not None:
            self._catcher.start()
        with step("Both services"):
            services = {name: self._child(name, "serve", databases[service_of(name)]) for name in self._listeners}
            started = self._stack(services, databases)
            self._folder.describe(started)
            self._await_health(services)
        answering = self._provider.await_ready()
        ready = replace(
            started,
            ready=True,
            model=self._provider.model,
            model_url=self._provider.local_url,
            model_pid=None if answering is None else answering.pid,
        )
        self._folder.describe(ready)
        return Launch(
            stack=ready,
            services=services,
            listeners=self._listeners,
            servers=self._servers if answering is None else {**self._servers, "Model": answering},
            folder=self._folder,
        )

    def undo(self) -> None:
        """Stop the services, then the servers."""
        try:
            _in_parallel([partial(child.end, (signal.SIGTERM, _GRACE_SECONDS)) for child in self._children])
        finally:
            if self._catcher is not None:
                self._catcher.stop()
            self._provider.stop()
            _in_parallel([server.stop for server in self._servers.values()])
            self._folder.forget()

    def _databases(self) -> Mapping[str, Database]:
        if self._postgres is None:
            return self._settings.servers.databases or {}
        url, passwords = self._postgres.url, self._folder.role_passwords()
        return {
            "auth": Database(
                url=url("parley_auth", "parley_auth", passwords.auth),
                owner_url=url("parley_auth", "parley_auth_owner", passwords.auth_owner),
            ),
            "chat": Database(
                url=url("parley_chat", "parley_chat", passwords.chat),
                owner_url=url("parley_chat", "parley_chat_owner", passwords.chat_owner),
            ),
        }

    def _redis_url(self) -> str:
        return self._redis.url if self._redis is not None else self._settings.servers.redis_url or ""

    def _migrate(self, databases: Mapping[str, Database]) -> None:
        children = {name: self._child(name, "migrate", databases[name]) for name in _SERVICES}
        wait_until(lambda: not any(child.running for child in children.values()), _MIGRATION_SECONDS)
        for name, child in children.items():
            if child.exit_code != 0:
                raise stopped(f"The migration of {name}", child)

    def _child(self, name: str, command: str, database: Database) -> Child:
        log = self._folder.logs / f"{name}.log"
        rotate(log)
        environment = self._environment(name, database)
        if command == "migrate":
            environment[f"{name.upper()}_MIGRATION_DATABASE_URL"] = database.owner_url
        module = f"{service_of(name)}_service"
        child = Child([sys.executable, "-m", module, command], log=log, environment=environment, folder=ROOT)
        self._children.append(child)
        return child

    def _environment(self, name: str, database: Database) -> dict[str, str]:
        """The caller's environment, with the addresses and secrets that this service needs and no others."""
        service = service_of(name)
        prefix, listeners = service.upper(), {**self._settings.listeners, service: self._listeners[name]}
        environment = {key: value for key, value in os.environ.items() if key not in SECRETS}
        for other, listener in listeners.items():
            environment[f"{other.upper()}_HOST"] = listener.host
            environment[f"{other.upper()}_PORT"] = str(listener.port)
            environment[f"{other.upper()}_OPS_PORT"] = str(listener.ops_port)
        environment |= self._mail() if service == "auth" else self._provider.environment()
        if self._settings.tls_dir is not None:
            environment |= certificates.settings(self._settings.tls_dir)
        return environment | {
            "CHAT_AUTH_TARGET": os.environ.get("CHAT_AUTH_TARGET") or self._auth_target(),
            "REDIS_URL": self._redis_url(),
            f"{prefix}_DATABASE_URL": database.url,
            **self._service_key(service),
            f"{prefix}_MASTER_KEY": os.environ.get(f"{prefix}_MASTER_KEY") or self._folder.master_key(f"{service}-key"),
        }

    def _mail(self) -> dict[str, str]:
        if self._catcher is not None:
            return {
                "AUTH_SMTP_URL": self._catcher.url,
                "AUTH_MAIL_FROM": os.environ.get("AUTH_MAIL_FROM") or _MAIL_FROM,
            }
        return {"AUTH_SMTP_URL": self._settings.servers.smtp_url or ""}

    def _service_key(self, service: str) -> dict[str, str]:
        """What chat proves itself to auth with, beside the keys that the caller's environment has."""
        ours = self._folder.master_key("service-key")
        if service == "auth":
            return {"AUTH_SERVICE_KEYS": ",".join(filter(None, (os.environ.get("AUTH_SERVICE_KEYS"), ours)))}
        return {"CHAT_SERVICE_KEY": os.environ.get("CHAT_SERVICE_KEY") or ours}

    def _auth_target(self) -> str:
        """All replicas of auth as one target, which gRPC takes of addresses alone; a certificate names one host."""
        targets = [it.target for name, it in self._listeners.items() if service_of(name) == "auth"]
        if len(targets) == 1 or self._tls_dir is not None:
            return targets[0]
        try:
            version = ip_address(targets[0].rpartition(":")[0].strip("[]")).version
        except ValueError:
            return targets[0]
        return f"ipv{version}:{','.join(targets)}"

    def _stack(self, services: Mapping[str, Child], databases: Mapping[str, Database]) -> Stack:
        auth, chat = self._settings.listeners["auth"], self._settings.listeners["chat"]
        return Stack(
            auth_target=auth.target,
            chat_target=chat.target,
            auth_ops_url=auth.ops_url,
            chat_ops_url=chat.ops_url,
            auth_database_url=databases["auth"].url,
            auth_owner_database_url=databases["auth"].owner_url,
            chat_database_url=databases["chat"].url,
            chat_owner_database_url=databases["chat"].owner_url,
            redis_url=self._redis_url(),
            auth_pid=services["auth"].pid,
            chat_pid=services["chat"].pid,
            postgres_pid=self._postgres.pid if self._postgres is not None else None,
            redis_pid=self._redis.pid if self._redis is not None else None,
            replica_pids=[child.pid for name, child in services.items() if name != service_of(name)],
            ready=False,
            tls_dir=self._tls_dir,
            service_key=self._folder.master_key("service-key"),
        )

    def _await_health(self, services: Mapping[str, Child]) -> None:
        def settled() -> bool:
            return not all(child.running for child in services.values()) or all(map(self._healthy, services))

        in_time = wait_until(settled, _HEALTHY_SECONDS)
        for name, child in services.items():
            if not child.running:
                raise stopped(name, child)
            if not in_time and not self._healthy(name):
                raise Failure(f"{name} does not become healthy. Its last lines, from {child.log}:{child.last_lines()}")

    def _healthy(self, name: str) -> bool:
        return channels.healthy(self._listeners[name].target, self._tls_dir, service_of(name))


def _replicas(first: Mapping[str, Listener], folder: DataFolder, count: int) -> dict[str, Listener]:
    """The listeners of all replicas: auth and chat where the settings say, auth-2 and the like on free ports."""
    more = {
        f"{name}-{number}": replace(
            listener, port=folder.port(f"{name}-{number}"), ops_port=folder.port(f"{name}-{number}-ops")
        )
        for name, listener in first.items()
        for number in range(2, count + 1)
    }
    return {**first, **more}


def _in_parallel(tasks: list[Callable[[], None]]) -> None:
    with ThreadPoolExecutor() as pool:
        for result in [pool.submit(task) for task in tasks]:
            result.result()


def _end_leftovers(folder: DataFolder) -> None:
    """End the services that a killed `run` left behind; the servers look after themselves."""
    left = folder.described()
    if left is not None:
        for pid in (left.auth_pid, left.chat_pid, *left.replica_pids):
            if end_leftover(pid, "_service", "serve"):
                say(f"  Ended process {pid}, which an interrupted run had left behind")
        folder.forget()
