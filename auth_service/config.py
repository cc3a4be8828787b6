"""Auth's settings; `.env.example` lists them."""

from datetime import timedelta
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from auth_service.ceremonies import RelyingParty
from auth_service.issuing import Lifetimes
from auth_service.key_rotation import MAX_TOKEN_LIFETIME, RotationPlan
from auth_service.limits import Volumes
from auth_service.mail.composer import Look, MailFrom
from auth_service.mail.smtp import SmtpServer, Tls
from auth_service.models import SigningAlgorithm
from auth_service.passwords import MIN_LENGTH
from shared.config import Port, ServiceConfig, check_random_key

_MAX_TOKEN_MINUTES: Final = MAX_TOKEN_LIFETIME.total_seconds() / 60


def _check_service_keys(value: SecretStr) -> SecretStr:
    for key in _separated(value):
        check_random_key(SecretStr(key))
    return value


def _separated(value: SecretStr) -> list[str]:
    return [key.strip() for key in value.get_secret_value().split(",") if key.strip()]


def _check_smtp_url(value: SecretStr) -> SecretStr:
    SmtpServer.parse(value.get_secret_value(), Tls.REQUIRED)
    return value


def _check_mail_from(value: str) -> str:
    MailFrom.parse(value)
    return value


def _check_link_url(value: str) -> str:
    if value and not (value.startswith(("https://", "http://")) and "{token}" in value):
        raise ValueError("must be a URL with {token} in it, such as https://app.example/{action}?token={token}")
    return value


def _may_ask_for_passkeys(origin: str, party: str) -> bool:
    """Whether browsers let an origin use the passkeys of a relying party (WebAuthn section 5.1.3)."""
    if origin.startswith("android:apk-key-hash:"):
        return True
    parts = urlsplit(origin)
    host = parts.hostname or ""
    local = host == "localhost" or host.endswith(".localhost")
    secure = parts.scheme == "https" or (parts.scheme == "http" and local)
    return secure and (host == party or host.endswith(f".{party}")) and origin == f"{parts.scheme}://{parts.netloc}"


class AuthConfig(ServiceConfig):
    """What auth is told, each as AUTH_… in the environment."""

    model_config = SettingsConfigDict(env_prefix="AUTH_")

    port: Port = 50051
    ops_port: Port = 9101
    issuer: str = "parley"
    audiences: Annotated[str, Field(pattern=r"^[a-z0-9._-]+(,[a-z0-9._-]+)*$")] = "auth,chat"
    signing_algorithm: SigningAlgorithm = SigningAlgorithm.EDDSA
    signing_key_days: Annotated[float, Field(ge=1, le=3650, allow_inf_nan=False)] = 90
    access_token_minutes: Annotated[float, Field(gt=0, le=_MAX_TOKEN_MINUTES, allow_inf_nan=False)] = 10
    session_days: Annotated[float, Field(gt=0, le=365, allow_inf_nan=False)] = 90
    refresh_idle_days: Annotated[float, Field(gt=0, le=365, allow_inf_nan=False)] = 30
    service_keys: Annotated[SecretStr, AfterValidator(_check_service_keys)] = SecretStr("")
    protect_introspection: bool = False
    sessions_per_user: Annotated[int, Field(ge=1, le=1000)] = 100
    audit_days: Annotated[float, Field(ge=1, le=3650, allow_inf_nan=False)] = 400
    password_min_length: Annotated[int, Field(ge=MIN_LENGTH, le=64)] = MIN_LENGTH
    hash_threads: Annotated[int, Field(ge=1, le=64)] | None = None
    failed_log_in_seconds: Annotated[float, Field(ge=0, le=5, allow_inf_nan=False)] = 0
    sign_ups_per_address_per_hour: Annotated[int, Field(ge=1)] | None = None
    log_ins_per_address_per_minute: Annotated[int, Field(ge=1)] | None = None
    failures_per_address_per_minute: Annotated[int, Field(ge=1)] | None = None
    mails_per_address_per_hour: Annotated[int, Field(ge=1)] | None = None
    smtp_url: Annotated[SecretStr, AfterValidator(_check_smtp_url)] | None = None
    mail_from: Annotated[str, AfterValidator(_check_mail_from)] | None = None
    app_name: Annotated[str, Field(min_length=1, max_length=60)] = "Parley"
    link_url: Annotated[str, AfterValidator(_check_link_url)] = ""
    new_device_mail: bool = True
    passkey_rp_id: Annotated[str, Field(pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)*$", max_length=253)] = "localhost"
    passkey_origins: str = "http://localhost:3000"
    deleted_account_days: Annotated[float, Field(gt=0, le=365, allow_inf_nan=False)] = 30

    @property
    def look(self) -> Look:
        """How mails present the application."""
        return Look(app_name=self.app_name, link_url=self.link_url)

    @property
    def relying_party(self) -> RelyingParty:
        """For whom passkeys are."""
        origins = tuple(origin.strip() for origin in self.passkey_origins.split(","))
        return RelyingParty(id=self.passkey_rp_id, name=self.app_name, origins=origins)

    @property
    def deletion_grace(self) -> timedelta:
        """How long a deleted account can be taken back."""
        return timedelta(days=self.deleted_account_days)

    @property
    def audit_retention(self) -> timedelta:
        """How long events are kept."""
        return timedelta(days=self.audit_days)

    @property
    def access_token_lifetime(self) -> timedelta:
        """The longest life of an access token."""
        return timedelta(minutes=self.access_token_minutes)

    @property
    def token_audiences(self) -> list[str]:
        """Whom access tokens are for: auth itself always."""
        return sorted({"auth", *self.audiences.split(",")})

    @property
    def known_service_keys(self) -> list[str]:
        """The keys that services may present."""
        return _separated(self.service_keys)

    @property
    def rotation_plan(self) -> RotationPlan:
        """With what keys access tokens are signed."""
        return RotationPlan(algorithm=self.signing_algorithm, period=timedelta(days=self.signing_key_days))

    @property
    def lifetimes(self) -> Lifetimes:
        """How long sessions last."""
        return Lifetimes(session=timedelta(days=self.session_days), idle=timedelta(days=self.refresh_idle_days))

    @property
    def volumes(self) -> Volumes:
        """What one address may ask for: in development enough for a load test from one machine."""
        return Volumes(
            sign_ups_per_hour=self.sign_ups_per_address_per_hour or (100 if self.production else 1_000_000),
            log_ins_per_minute=self.log_ins_per_address_per_minute or (300 if self.production else 1_000_000),
            mails_per_hour=self.mails_per_address_per_hour or (60 if self.production else 1_000_000),
            failures_per_minute=self.failures_per_address_per_minute or (60 if self.production else 1_000_000),
        )

    @property
    def mail_route(self) -> tuple[SmtpServer, MailFrom] | None:
        """The mail server and whom mails are from; None where none is sent."""
        if self.smtp_url is None or self.mail_from is None:
            return None
        by_default = Tls.REQUIRED if self.production else Tls.OFFERED
        return SmtpServer.parse(self.smtp_url.get_secret_value(), by_default), MailFrom.parse(self.mail_from)

    @model_validator(mode="after")
    def _check_passkey_origins(self) -> Self:
        for origin in self.relying_party.origins:
            if not _may_ask_for_passkeys(origin, self.passkey_rp_id):
                raise ValueError(
                    f"AUTH_PASSKEY_ORIGINS: {origin!r} must be https:// (http:// for localhost) and a host that is"
                    f" {self.passkey_rp_id} or under it, without a path; or an android:apk-key-hash"
                )
        return self

    @model_validator(mode="after")
    def _say_whom_mails_are_from(self) -> Self:
        if self.smtp_url is not None and self.mail_from is None:
            raise ValueError("AUTH_MAIL_FROM is not set: AUTH_SMTP_URL needs it")
        return self
