"""The settings that the commands share, read from the environment in one place."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from shared.embedded import free_port
from tools.ui import Refusal

ROOT = Path(__file__).resolve().parent.parent
_LAST_PORT = 65535
_FILES_OF_TLS = ("AUTH_TLS_CERTIFICATE_FILE", "CHAT_TLS_CERTIFICATE_FILE", "CHAT_AUTH_CA_FILE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Where a service listens: for gRPC, and for metrics and operations over HTTP."""

    host: str
    port: int
    ops_port: int

    @property
    def target(self) -> str:
        """What a client on this machine connects to."""
        return f"{self._reached}:{self.port}"

    @property
    def ops_url(self) -> str:
        """Where metrics and operations are, without a path."""
        return f"http://{self._reached}:{self.ops_port}"

    @property
    def _reached(self) -> str:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 (it is only translated)
        return f"[{host}]" if ":" in host else host


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """A service's database: as the role that serves, and as the role that owns and migrates."""

    url: str = field(repr=False)
    owner_url: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """What of somebody else's is used: Postgres, Redis, a mail server, and whether models."""

    databases: Mapping[str, Database] | None = None
    redis_url: str | None = field(default=None, repr=False)
    smtp_url: str | None = field(default=None, repr=False)
    provider: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the commands that run or look for a stack need to know; the listeners by service, auth and chat."""

    data_dir: Path
    listeners: Mapping[str, Listener]
    servers: Servers
    tls_dir: Path | None = None
    local_model: bool = True

    def with_free_ports(self) -> "Settings":
        """The same on ports that nobody uses, for a stack beside others."""
        moved = {
            name: replace(listener, port=free_port(), ops_port=free_port()) for name, listener in self.listeners.items()
        }
        return replace(self, listeners=moved)

    def require_free_ports(self) -> None:
        """Refuse when two settings name one port, or somebody listens on one."""
        require_free(self.listeners)


def read(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings of this environment; a wrong one is refused with a sentence."""
    return Settings(
        data_dir=Path(environment.get("PARLEY_DATA_DIR") or ROOT / ".parley").expanduser().absolute(),
        listeners={
            "auth": _listener(environment, "AUTH", 50051, 9101),
            "chat": _listener(environment, "CHAT", 50052, 9102),
        },
        servers=Servers(
            databases=_databases(environment),
            redis_url=environment.get("REDIS_URL") or None,
            smtp_url=environment.get("AUTH_SMTP_URL") or None,
            provider=bool(environment.get("CHAT_PROVIDER_URL") or environment.get("CHAT_PROVIDERS")),
        ),
        tls_dir=_tls_dir(environment),
        local_model=_flag(environment, "PARLEY_LOCAL_MODEL", default=True),
    )


def _tls_dir(environment: Mapping[str, str]) -> Path | None:
    """The folder that makes a stack one with TLS; a service alone cannot be, as the commands call both alike."""
    folder = environment.get("PARLEY_TLS_DIR")
    given = [name for name in _FILES_OF_TLS if environment.get(name)]
    if given:
        advice = "set PARLEY_TLS_DIR to a folder that `make certificates` made."
        raise Refusal(f"{given[0]} is for a service that is started by hand. For both at once, {advice}")
    return Path(folder).expanduser().absolute() if folder else None


def gateway(environment: Mapping[str, str] = os.environ) -> Listener:
    """Where the gateway listens; its operations are Envoy's own pages, on loopback whatever the host."""
    return _listener(environment, "GATEWAY", 8080, 9901)


def require_free(listeners: Mapping[str, Listener]) -> None:
    """Refuse when two settings name one port, or somebody listens on one."""
    seen: dict[int, str] = {}
    for name, listener in listeners.items():
        for port, setting in ((listener.port, "PORT"), (listener.ops_port, "OPS_PORT")):
            variable = f"{name.upper()}_{setting}"
            if port in seen:
                raise Refusal(f"{seen[port]} and {variable} are both {port}: give each a port of its own.")
            seen[port] = variable
            _require_free(listener.host, port, variable)


def _listener(environment: Mapping[str, str], prefix: str, port: int, ops_port: int) -> Listener:
    return Listener(
        host=environment.get(f"{prefix}_HOST") or "127.0.0.1",
        port=_port(environment, f"{prefix}_PORT", port),
        ops_port=_port(environment, f"{prefix}_OPS_PORT", ops_port),
    )


def _databases(environment: Mapping[str, str]) -> Mapping[str, Database] | None:
    found = {}
    for name in ("auth", "chat"):
        url = environment.get(f"{name.upper()}_DATABASE_URL")
        owner_url = environment.get(f"{name.upper()}_MIGRATION_DATABASE_URL") or url
        if url and owner_url:
            found[name] = Database(url=url, owner_url=owner_url)
    if len(found) == 1:
        raise Refusal("Set both AUTH_DATABASE_URL and CHAT_DATABASE_URL to use your own Postgres, or neither.")
    return found or None


def _flag(environment: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = environment.get(name) or str(default)
    if text.lower() not in ("true", "false"):
        raise Refusal(f"{name} is {text!r}: give true or false.")
    return text.lower() == "true"


def _port(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= _LAST_PORT:
        raise Refusal(f"{name} is {text!r}: give a port from 1 to {_LAST_PORT}.")
    return int(text)


def _require_free(host: str, port: int, name: str) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        # Connections of a stack that just ended may linger; only a listener is in the way.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError:
            raise Refusal(f"Port {port} is not allowed for this user: set {name} to 1024 or more.") from None
        except OSError as error:
            advice = f"set {name} to another, or stop what listens there."
            raise Refusal(f"Port {port} on {host} is not free ({error.strerror}): {advice}") from None
