"""Requests about service accounts and their tokens into commands; their pages, and both into messages."""

from collections.abc import Iterable, Sequence
from typing import Final
from uuid import UUID

from auth_service import scopes
from auth_service.models import MachineCredential, ServiceAccount
from auth_service.rpc import api_keys, convert
from auth_service.service_accounts import LIFETIME, CreateSecret, MadeSecret, ServiceAccounts
from auth_service.service_tokens import Exchange, IssueToken, ServiceToken
from auth_service.store.service_accounts import NewServiceAccount, ServiceAccountChange
from protos.auth.v1 import service_accounts_pb2 as pb
from shared import access_tokens, machine_secrets, paging
from shared.grpc.values import timestamp
from shared.ids import text_of
from shared.paging import PageTokens
from shared.validation import Violations

MAX_AUDIENCES: Final = 20
MAX_SCOPES: Final = 50
_NAME: Final = "service_account.display_name"
_MAX_SECRET: Final = access_tokens.MAX_LENGTH  # who sends a token in its place is told that it is no secret
_WRITABLE: Final = ("display_name", "roles", "audiences", "scopes")


def new_account(request: pb.CreateServiceAccountRequest) -> NewServiceAccount:
    """The account to make."""
    violations, given = Violations(), request.service_account
    new = NewServiceAccount(
        display_name=api_keys.name(violations, _NAME, given.display_name),
        roles=_roles(violations, given.roles),
        audiences=_audiences(violations, given.audiences),
        scopes=_scopes(violations, given.scopes),
        request_id=violations.request_id(request.request_id),
    )
    violations.done()
    return new


def account_change(request: pb.UpdateServiceAccountRequest) -> tuple[UUID, ServiceAccountChange, int | None]:
    """Which account to change, what to write, and the revision that is to be changed, or None."""
    violations, given = Violations(), request.service_account
    account_id = violations.id("service_account.id", given.id)
    fields = violations.mask(request.update_mask.paths, _WRITABLE, [name for name in _WRITABLE if getattr(given, name)])
    name = api_keys.name(violations, _NAME, given.display_name) if "display_name" in fields else None
    roles = _roles(violations, given.roles) if "roles" in fields else None
    audiences = _audiences(violations, given.audiences) if "audiences" in fields else None
    allowed = _scopes(violations, given.scopes) if "scopes" in fields else None
    revision = convert.revision(given.etag)
    if given.etag and revision is None:
        violations.add("service_account.etag", "must be the etag of an account that was read, as it was read")
    violations.done()
    change = ServiceAccountChange(display_name=name, roles=roles, audiences=audiences, scopes=allowed)
    return account_id, change, revision


def account_id(text: str) -> UUID:
    """The account that is meant."""
    violations = Violations()
    parsed = violations.id("service_account_id", text)
    violations.done()
    return parsed


def new_secret(request: pb.CreateClientSecretRequest) -> CreateSecret:
    """The client secret to make."""
    violations = Violations()
    command = CreateSecret(
        account_id=violations.id("service_account_id", request.service_account_id),
        expire_time=api_keys.end(
            violations, request.expire_time if request.HasField("expire_time") else None, LIFETIME
        ),
        request_id=violations.request_id(request.request_id),
    )
    violations.done()
    return command


def secret_id(request: pb.RevokeClientSecretRequest) -> tuple[UUID, UUID]:
    """Whose client secret to end, and which."""
    violations = Violations()
    parsed = (
        violations.id("service_account_id", request.service_account_id),
        violations.id("client_secret_id", request.client_secret_id),
    )
    violations.done()
    return parsed


def issue(request: pb.IssueServiceTokenRequest) -> IssueToken:
    """The token that a client asks for."""
    violations = Violations()
    command = IssueToken(
        client_id=violations.id("client_id", request.client_id),
        client_secret=violations.text("client_secret", request.client_secret, shortest=1, longest=_MAX_SECRET),
        audiences=_wanted(violations, "audiences", request.audiences, MAX_AUDIENCES, least=0),
        scopes=_wanted(violations, "scopes", request.scopes, MAX_SCOPES, least=0),
    )
    violations.done()
    return command


def exchange(request: pb.ExchangeTokenRequest) -> Exchange:
    """On whose behalf a service wants to do what."""
    violations = Violations()
    longest = access_tokens.MAX_LENGTH
    command = Exchange(
        subject_token=violations.text("subject_token", request.subject_token, shortest=1, longest=longest),
        audiences=_wanted(violations, "audiences", request.audiences, MAX_AUDIENCES, least=1),
        scopes=_wanted(violations, "scopes", request.scopes, MAX_SCOPES, least=1),
    )
    violations.done()
    return command


def account(model: ServiceAccount, secrets: Sequence[MachineCredential] = ()) -> pb.ServiceAccount:
    """An account with its client secrets."""
    user = convert.user(model.user)
    return pb.ServiceAccount(
        id=user.id,
        display_name=user.display_name,
        roles=user.roles,
        audiences=model.audiences,
        scopes=model.scopes,
        state=user.state,
        create_time=user.create_time,
        update_time=user.update_time,
        etag=user.etag,
        client_secrets=map(client_secret, secrets),
    )


def client_secret(model: MachineCredential) -> pb.ClientSecret:
    """What is known of a client secret."""
    session = model.session
    return pb.ClientSecret(
        id=text_of(session.id),
        hint=machine_secrets.hint(session),
        create_time=timestamp(session.create_time),
        expire_time=timestamp(session.expire_time),
        last_use_time=timestamp(model.last_use_time) if model.last_use_time else None,
        revoke_time=timestamp(session.revoke_time) if session.revoke_time else None,
    )


def made(model: MadeSecret) -> pb.CreateClientSecretResponse:
    """The answer to the creation of a client secret."""
    return pb.CreateClientSecretResponse(client_secret=client_secret(model.secret), secret_text=model.text)


def issued(model: ServiceToken) -> pb.IssueServiceTokenResponse:
    """The answer to a client."""
    return pb.IssueServiceTokenResponse(
        access_token=model.access_token,
        expire_time=timestamp(model.expire_time),
        audiences=model.audiences,
        scopes=model.scopes,
    )


def exchanged(model: ServiceToken) -> pb.ExchangeTokenResponse:
    """The answer to a service that acts for a user."""
    return pb.ExchangeTokenResponse(
        access_token=model.access_token,
        expire_time=timestamp(model.expire_time),
        audiences=model.audiences,
        scopes=model.scopes,
    )


class ServiceAccountPages:
    """Reads one row more than a page holds, to know whether there is another."""

    def __init__(self, accounts: ServiceAccounts, tokens: PageTokens) -> None:
        """Read with these rules, and sign page tokens."""
        self._accounts, self._tokens = accounts, tokens

    async def one(self, account_id: UUID) -> pb.ServiceAccount:
        """An account with its client secrets."""
        return (await self._with_secrets([await self._accounts.get(account_id)]))[0]

    async def changed(self, model: ServiceAccount) -> pb.ServiceAccount:
        """An account that was changed, with its client secrets."""
        return (await self._with_secrets([model]))[0]

    async def read(self, request: pb.ListServiceAccountsRequest) -> pb.ListServiceAccountsResponse:
        """A page of accounts."""
        size, scope = paging.page_size(request.page_size), ("ListServiceAccounts",)
        cursor = self._tokens.read(scope, request.page_token)
        found = await self._accounts.list(UUID(str(cursor[0])) if cursor else None, size + 1)
        token = self._tokens.write(scope, (str(found[size - 1].user.id),)) if len(found) > size else ""
        page = await self._with_secrets(found[:size])
        return pb.ListServiceAccountsResponse(service_accounts=page, next_page_token=token)

    async def _with_secrets(self, accounts: Sequence[ServiceAccount]) -> list[pb.ServiceAccount]:
        held = await self._accounts.secrets_of(accounts)
        return [account(each, held.get(each.user.id, ())) for each in accounts]


def _roles(violations: Violations, given: Iterable[str]) -> tuple[str, ...]:
    roles = sorted(set(given))
    if not set(roles) <= set(scopes.SERVICE_ROLES):
        violations.add("service_account.roles", f"must be some of {', '.join(scopes.SERVICE_ROLES)}")
    return tuple(roles)


def _scopes(violations: Violations, given: Iterable[str]) -> tuple[str, ...]:
    return api_keys.known_scopes(violations, "service_account.scopes", given, scopes.EVERY_SCOPE, least=0)


def _audiences(violations: Violations, given: Iterable[str]) -> tuple[str, ...]:
    names = sorted(set(given))
    if not 1 <= len(names) <= MAX_AUDIENCES or not all(map(scopes.AUDIENCE.fullmatch, names)):
        violations.add(
            "service_account.audiences",
            f"must be 1 to {MAX_AUDIENCES} names of 1 to {scopes.MAX_AUDIENCE} of a-z, 0-9, ., _ and -",
        )
    return tuple(names)


def _wanted(violations: Violations, field: str, given: Sequence[str], most: int, *, least: int) -> tuple[str, ...]:
    """What is asked for, each once and sorted; whether it may be had is not for the form to say."""
    violations.count(field, given, most=most, least=least)
    return tuple(sorted(set(given[:most])))
