"""Service accounts as an administrator makes them, and what they call with."""

from dataclasses import dataclass
from typing import Any

from protos.auth.v1.auth_service_pb2 import SignUpResponse
from protos.auth.v1.resources_pb2 import Tokens
from protos.auth.v1.service_accounts_pb2 import (
    CreateClientSecretRequest,
    CreateClientSecretResponse,
    CreateServiceAccountRequest,
    ExchangeTokenRequest,
    ExchangeTokenResponse,
    IssueServiceTokenRequest,
    IssueServiceTokenResponse,
    ServiceAccount,
)
from tests.authtest import Auth, bearer
from tests.servers import fetch


@dataclass(frozen=True)
class Client:
    """A service account with a client secret."""

    account: ServiceAccount
    secret_id: str
    secret: str


async def administrator(auth: Auth, email: str = "boss@example.com") -> SignUpResponse:
    """An administrator, whose role was there before anything was cached."""
    boss = await auth.sign_up(email)
    await fetch(auth.database.url, "UPDATE users SET roles = '{admin}' WHERE email = $1", email)
    return boss


async def create(auth: Auth, boss: Tokens, request_id: str = "", **fields: Any) -> ServiceAccount:
    given = {"display_name": "mailer", "roles": ["service"], "audiences": ["auth", "chat"], **fields}
    request = CreateServiceAccountRequest(service_account=ServiceAccount(**given), request_id=request_id)
    return (await auth.admin.CreateServiceAccount(request, metadata=bearer(boss))).service_account


async def add_secret(auth: Auth, boss: Tokens, account: ServiceAccount, **fields: Any) -> CreateClientSecretResponse:
    request = CreateClientSecretRequest(service_account_id=account.id, **fields)
    return await auth.admin.CreateClientSecret(request, metadata=bearer(boss))


async def client(auth: Auth, boss: Tokens, **fields: Any) -> Client:
    account = await create(auth, boss, **fields)
    made = await add_secret(auth, boss, account)
    return Client(account, made.client_secret.id, made.secret_text)


async def issue(auth: Auth, of: Client, **fields: Any) -> IssueServiceTokenResponse:
    given = {"client_id": of.account.id, "client_secret": of.secret, **fields}
    return await auth.auth.IssueServiceToken(IssueServiceTokenRequest(**given))


async def exchange(auth: Auth, service_token: str, subject_token: str, **fields: Any) -> ExchangeTokenResponse:
    given = {"audiences": ["chat"], "scopes": ["chat.read"], **fields}
    request = ExchangeTokenRequest(subject_token=subject_token, **given)
    return await auth.auth.ExchangeToken(request, metadata=bearer(service_token))
