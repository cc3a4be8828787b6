"""Settings of a service, read once from the environment (or from files, for secrets) and never changed after.

`.env.example` lists them all. A bad one stops the start with a sentence.
"""

import base64
import binascii
import os
import sys
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final, NamedTuple, Self, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared import proxies
from shared.crypto import KeyRing
from shared.db import PoolSettings
from shared.proxies import TrustedProxies

_MASTER_KEY_BYTES = 32
_ENCRYPTED_MODES: Final = ("require", "verify-ca", "verify-full")
_PUBLISHED = ("change-me", "changeme", "example", "parley", "password", "postgres", "secret")


class Environment(StrEnum):
    """Where the service runs; production refuses what is convenient and unsafe."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class LogFormat(StrEnum):
    """JSON for machines, or coloured lines for people."""

    JSON = "json"
    CONSOLE = "console"


class LogLevel(StrEnum):
    """The least that is logged."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


def check_random_key(value: SecretStr) -> SecretStr:
    """Refuse what is not base64 of 32 random bytes."""
    try:
        raw = base64.b64decode(value.get_secret_value(), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("must be base64") from None
    if len(raw) < _MASTER_KEY_BYTES or len(set(raw)) < _MASTER_KEY_BYTES // 4:
        raise ValueError("must be base64 of 32 random bytes: `openssl rand -base64 32` makes one")
    return value


def _master_key_bytes(value: SecretStr) -> bytes:
    return base64.b64decode(value.get_secret_value())


def _check_scheme(*schemes: str) -> AfterValidator:
    def check(value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith(schemes):
            raise ValueError(f"must begin with {' or '.join(schemes)}")
        return value

    return AfterValidator(check)


def _check_networks(value: str) -> str:
    try:
        proxies.networks(value)
    except ValueError as error:
        raise ValueError(f"must be networks separated by commas, such as 10.0.0.0/8: {error}") from None
    return value


DatabaseUrl = Annotated[SecretStr, _check_scheme("postgresql://", "postgres://")]
RedisUrl = Annotated[SecretStr, _check_scheme("redis://", "rediss://", "unix://")]
MasterKey = Annotated[SecretStr, AfterValidator(check_random_key)]
Port = Annotated[int, Field(ge=0, le=65535)]


class PemFile(NamedTuple):
    """A file of TLS, with the name of the setting that tells where it is."""

    setting: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """What one side of connections shows the other (a certificate and its key), and whom it believes (a CA).

    `name` is the side's in metrics and logs.
    """

    name: str
    certificate: PemFile | None = None
    key: PemFile | None = None
    authority: PemFile | None = None


class ServiceConfig(BaseSettings):
    """What both services are told; each adds its own under its prefix."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    environment: Environment = Field(Environment.DEVELOPMENT, validation_alias="APP_ENV")
    log_level: LogLevel = Field(LogLevel.INFO, validation_alias="LOG_LEVEL")
    log_format: LogFormat = Field(LogFormat.JSON, validation_alias="LOG_FORMAT")
    redis_url: RedisUrl = Field(validation_alias="REDIS_URL")
    host: str = "127.0.0.1"
    ops_host: str = "127.0.0.1"
    port: Port
    ops_port: Port
    database_url: DatabaseUrl
    migration_database_url: DatabaseUrl | None = None
    master_key: MasterKey
    former_master_key: MasterKey | None = None
    slow_query_ms: Annotated[int, Field(ge=1)] = 100
    shutdown_grace_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 10.0
    reflection: bool | None = None
    tls_certificate_file: Path | None = None
    tls_key_file: Path | None = None
    tls_client_ca_file: Path | None = None
    allow_plaintext: bool = False
    allow_plaintext_stores: bool = False
    trusted_proxies: Annotated[str, AfterValidator(_check_networks)] = ""

    @property
    def production(self) -> bool:
        """Whether convenience gives way to safety."""
        return self.environment is Environment.PRODUCTION

    @property
    def reflect(self) -> bool:
        """Whether server reflection is on: in development, or where it is asked for."""
        return not self.production if self.reflection is None else self.reflection

    @property
    def proxies(self) -> TrustedProxies:
        """The gateways that are believed on whom they call for."""
        return TrustedProxies(proxies.networks(self.trusted_proxies))

    @property
    def owner_url(self) -> str:
        """The database as the role that migrates; the serving role's where no other is given."""
        return (self.migration_database_url or self.database_url).get_secret_value()

    @property
    def key_ring(self) -> KeyRing:
        """The key that every other key of the service is derived from, and the one that is accepted beside it."""
        former = self.former_master_key
        return KeyRing(_master_key_bytes(self.master_key), None if former is None else _master_key_bytes(former))

    @property
    def pool(self) -> PoolSettings:
        """The pool's sizes and limits for this environment."""
        slow = self.slow_query_ms / 1000
        if self.production:
            return PoolSettings(
                max_size=20,
                min_size=5,
                acquire_timeout=2.0,
                statement_timeout=5.0,
                lock_timeout=1.0,
                idle_timeout=300.0,
                slow_query_seconds=slow,
            )
        return PoolSettings(
            max_size=10,
            min_size=2,
            acquire_timeout=5.0,
            statement_timeout=15.0,
            lock_timeout=2.0,
            idle_timeout=60.0,
            slow_query_seconds=slow,
        )

    @property
    def tls(self) -> TlsFiles | None:
        """What the gRPC port shows its callers, and by which CA it knows them; None where it speaks plaintext."""
        return self._tls_files("server", "tls_certificate_file", "tls_key_file", "tls_client_ca_file")

    def _tls_files(self, name: str, certificate: str, key: str, authority: str) -> TlsFiles | None:
        """The files that three settings name."""
        paths = {setting: getattr(self, setting) for setting in (certificate, key, authority)}
        files = {setting: PemFile(setting, path) for setting, path in paths.items() if path is not None}
        if not files:
            return None
        return TlsFiles(
            name=name, certificate=files.get(certificate), key=files.get(key), authority=files.get(authority)
        )

    def _require(self, name: str, needed: str) -> None:
        """Refuse a setting without the other one that it needs."""
        if getattr(self, name) is not None and getattr(self, needed) is None:
            raise ValueError(f"{self._told(name)} needs {self._told(needed)} beside it")

    def _told(self, name: str) -> str:
        """The environment's name of a field."""
        return variable(type(self), str(type(self).model_fields[name].validation_alias or name))

    @model_validator(mode="after")
    def _refuse_one_key_twice(self) -> Self:
        if self.former_master_key is not None and self.key_ring.present == self.key_ring.former:
            raise ValueError(f"{self._told('former_master_key')} must be another key than the present one")
        return self

    @model_validator(mode="after")
    def _refuse_half_of_tls(self) -> Self:
        self._require("tls_certificate_file", "tls_key_file")
        self._require("tls_key_file", "tls_certificate_file")
        self._require("tls_client_ca_file", "tls_certificate_file")
        return self

    @model_validator(mode="after")
    def _refuse_what_is_unsafe_in_production(self) -> Self:
        for name in ("database_url", "redis_url", "migration_database_url") if self.production else ():
            secret = getattr(self, name)
            if secret is None:
                continue
            if _guessable(secret.get_secret_value()):
                raise ValueError(f"{self._told(name)}: production refuses a password that anyone can guess")
            if not self.allow_plaintext_stores and _in_plaintext(secret.get_secret_value()):
                remedy = "rediss://" if name == "redis_url" else "?sslmode=verify-full"
                raise ValueError(
                    f"{self._told(name)}: production refuses plaintext to another machine: use {remedy}, "
                    f"or in a private network {self._told('allow_plaintext_stores')}=true"
                )
        return self

    @model_validator(mode="after")
    def _refuse_plaintext_in_production(self) -> Self:
        if self.production and self.tls is None and not self.allow_plaintext:
            raise ValueError(
                f"{self._told('tls_certificate_file')} is not set: production refuses plaintext gRPC, unless "
                f"{self._told('allow_plaintext')}=true says that a mesh, a sidecar or a gateway ends TLS"
            )
        return self


Config = TypeVar("Config", bound=ServiceConfig)


class Unusable(Exception):
    """A setting that reads well and cannot be used, such as a taken port."""

    def __init__(self, setting: str, problem: str) -> None:
        """The setting by its field's name, and what to mend, to be read after it."""
        self.setting, self.problem = setting, problem
        super().__init__(f"{setting} {problem}")

    @classmethod
    def port(cls, setting: str, host: str, port: int, error: OSError) -> Self:
        """A port that cannot be listened on, and why."""
        cause = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        return cls(setting, f"{port} on {host} cannot be listened on ({cause}): choose another")


def read(kind: type[Config]) -> Config:
    """The settings from the environment; a bad one prints what to mend and ends the process with code 2."""
    secrets = os.environ.get("PARLEY_SECRETS_DIR")
    if secrets and not Path(secrets).is_dir():
        sys.stderr.write(f"PARLEY_SECRETS_DIR {secrets} is not a folder\n")
        raise SystemExit(2)
    try:
        return kind(_secrets_dir=secrets)  # type: ignore[call-arg]
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_context=False, include_input=False):
            sys.stderr.write(_sentence(kind, problem["loc"], problem["msg"]) + "\n")
        raise SystemExit(2) from None


def variable(kind: type[Config], name: str) -> str:
    """The environment's name of a setting; what has a name of its own is its own."""
    return name if name.isupper() else f"{kind.model_config.get('env_prefix', '')}{name}".upper()


def _sentence(kind: type[Config], location: tuple[int | str, ...], message: str) -> str:
    name = str(location[0]) if location else ""
    cause = message.removeprefix("Value error, ").replace("Input should", "must", 1)
    if message == "Field required":
        cause = "is not set: see .env.example"
    return f"{variable(kind, name)} {cause}" if name else cause


def _guessable(url: str) -> bool:
    """Whether the password of a URL is a published one or the user's name; a Redis without any asks nobody for it."""
    parts = urlsplit(url)
    password = unquote(parts.password or "") or parse_qs(parts.query).get("password", [""])[0]
    if not password:
        return parts.scheme.startswith("redis")
    return password.lower() in _PUBLISHED or password == parts.username


def _in_plaintext(url: str) -> bool:
    """Whether what is said to the server of a URL can be read on the way: not on the loopback, not in a unix socket."""
    parts, query = urlsplit(url), parse_qs(urlsplit(url).query)
    if parts.scheme.startswith("redis"):
        return parts.scheme == "redis" and not _is_local(parts.hostname or "")
    mode = query.get("sslmode", [""])[-1].replace("_", "-")
    hosts = parts.netloc.rpartition("@")[2] or query.get("host", [""])[-1]
    return mode not in _ENCRYPTED_MODES and not all(_is_local(_host(unquote(one))) for one in hosts.split(","))


def _host(address: str) -> str:
    """The host of `host`, `host:port` or `[::1]:port`."""
    return address[1:].partition("]")[0] if address.startswith("[") else address.partition(":")[0]


def _is_local(host: str) -> bool:
    if host in ("", "localhost") or host.startswith("/"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
