"""Chat's settings; `.env.example` lists them."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, TypeAdapter, ValidationError, model_validator
from pydantic_settings import SettingsConfigDict

from chat_service.attempts import Patience
from chat_service.prices import Prices
from chat_service.providers import ProviderSettings
from chat_service.quotas import Quota
from shared.config import Port, ServiceConfig, TlsFiles, check_random_key


def _check_prices(path: Path) -> Path:
    Prices.read(path)
    return path


_PROVIDERS = TypeAdapter(tuple[ProviderSettings, ...])


def _check_providers(value: SecretStr) -> SecretStr:
    try:
        _PROVIDERS.validate_json(value.get_secret_value())
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"must be a JSON list of providers: {place} {first['msg']}") from None
    return value


class ChatConfig(ServiceConfig):
    """What chat is told, each as CHAT_… in the environment."""

    model_config = SettingsConfigDict(env_prefix="CHAT_")

    port: Port = 50052
    ops_port: Port = 9102
    auth_target: Annotated[str, Field(min_length=1)] = "127.0.0.1:50051"
    auth_ca_file: Path | None = None
    auth_certificate_file: Path | None = None
    auth_key_file: Path | None = None
    service_key: Annotated[SecretStr, AfterValidator(check_random_key)] | None = None
    serve_through_outages: bool = True
    deleted_conversation_days: Annotated[float, Field(gt=0, le=365)] = 30
    retention_days: Annotated[float, Field(gt=0, le=36_500)] | None = None
    provider_url: Annotated[str, Field(pattern=r"^https?://")] | None = None
    provider_api_key: SecretStr | None = None
    provider_model: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    provider_context_tokens: Annotated[int, Field(ge=256)] = 8192
    providers: Annotated[SecretStr, AfterValidator(_check_providers)] | None = None
    first_token_seconds: Annotated[float, Field(gt=0, le=600)] = 60
    silence_seconds: Annotated[float, Field(gt=0, le=600)] = 30
    answer_seconds: Annotated[float, Field(gt=0, le=3600)] = 600
    answers_at_once: Annotated[int, Field(ge=1, le=1000)] = 64
    quota_runs: Annotated[int, Field(ge=1)] | None = None
    quota_tokens: Annotated[int, Field(ge=1)] | None = None
    quota_hours: Annotated[float, Field(gt=0, le=744)] = 24
    prices_file: Annotated[Path, AfterValidator(_check_prices)] | None = None
    streams_per_user: Annotated[int, Field(ge=1, le=1_000)] = 32

    @property
    def retention(self) -> timedelta:
        """How long a deleted conversation can be undeleted."""
        return timedelta(days=self.deleted_conversation_days)

    @property
    def untouched(self) -> timedelta | None:
        """After how long a conversation is deleted that nobody has touched; None for never."""
        return None if self.retention_days is None else timedelta(days=self.retention_days)

    @property
    def asked(self) -> tuple[ProviderSettings, ...]:
        """The providers of models in the order in which they are asked: the one by itself, then the list."""
        listed = _PROVIDERS.validate_json(self.providers.get_secret_value()) if self.providers else ()
        if self.provider_url is None or self.provider_model is None:
            return listed
        one = ProviderSettings(
            url=self.provider_url,
            api_key=self.provider_api_key or SecretStr("none"),
            models=(self.provider_model,),
            context_tokens=self.provider_context_tokens,
        )
        return (one, *listed)

    @property
    def quota(self) -> Quota:
        """How much each user may ask for."""
        window = timedelta(hours=self.quota_hours)
        return Quota(runs=self.quota_runs, tokens=self.quota_tokens, window=window)

    @property
    def patience(self) -> Patience:
        """How long an answer is waited for."""
        return Patience(first_token=self.first_token_seconds, silence=self.silence_seconds, whole=self.answer_seconds)

    @property
    def auth_tls(self) -> TlsFiles | None:
        """By which CA chat knows auth, and what it shows of itself; None where it speaks plaintext to auth."""
        return self._tls_files("auth", "auth_certificate_file", "auth_key_file", "auth_ca_file")

    @model_validator(mode="after")
    def _check_provider(self) -> Self:
        self._require("provider_url", "provider_model")
        self._require("provider_model", "provider_url")
        if self.production and not self.allow_plaintext and any(one.in_plaintext for one in self.asked):
            raise ValueError(
                f"{self._told('provider_url')}: production refuses plaintext to another machine, unless "
                f"{self._told('allow_plaintext')}=true says that a mesh or a sidecar ends TLS"
            )
        return self

    @model_validator(mode="after")
    def _refuse_plaintext_to_auth(self) -> Self:
        self._require("auth_certificate_file", "auth_key_file")
        self._require("auth_key_file", "auth_certificate_file")
        self._require("auth_certificate_file", "auth_ca_file")
        if self.production and self.auth_ca_file is None and not self.allow_plaintext:
            raise ValueError(
                f"{self._told('auth_ca_file')} is not set: production refuses plaintext to auth, unless "
                f"{self._told('allow_plaintext')}=true says that a mesh or a sidecar ends TLS"
            )
        return self
