"""ExchangeToken: a service acts on behalf of the user whose token it was sent (RFC 8693)."""

from typing import Any

import grpc
import jwt
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from protos.auth.v1.account_service_pb2 import GetProfileRequest, UpdateProfileRequest
from protos.auth.v1.administration_pb2 import SuspendUserRequest
from protos.auth.v1.resources_pb2 import (
    INACTIVE_REASON_REVOKED,
    INACTIVE_REASON_USER_INACTIVE,
    SESSION_KIND_API_KEY,
    User,
)
from protos.auth.v1.service_accounts_pb2 import (
    ExchangeTokenRequest,
    ExchangeTokenResponse,
    RevokeClientSecretRequest,
    ServiceAccount,
    UpdateServiceAccountRequest,
)
from tests.auth import api_keys
from tests.auth.forge import forge
from tests.auth.service_accounts import Client, administrator, client, exchange, issue
from tests.auth.test_revocation import trusting
from tests.authtest import Auth, bearer, service_bearer
from tests.grpc_errors import failure
from tests.servers import fetch

SCOPES = ["account.read", "chat.read", "users.act"]


class Acting:
    """A user, and a service that may act for users."""

    def __init__(self, auth: Auth, boss: Any, user: Any, service: Client, token: str) -> None:
        self.auth, self.boss, self.user, self.service, self.token = auth, boss, user, service, token

    async def act(self, subject: str = "", **fields: Any) -> ExchangeTokenResponse:
        given = {"audiences": ["auth"], "scopes": ["account.read"], **fields}
        return await exchange(self.auth, self.token, subject or self.user.tokens.access_token, **given)


@pytest.fixture
async def acting(auth: Auth) -> Acting:
    boss = (await administrator(auth)).tokens
    service = await client(auth, boss, scopes=SCOPES, audiences=["auth", "billing", "chat"])
    user = await auth.sign_up()
    return Acting(auth, boss, user, service, (await issue(auth, service)).access_token)


async def test_the_token_is_the_users_and_names_who_acts(auth: Auth, acting: Acting) -> None:
    answer = await acting.act()
    claims = jwt.decode(answer.access_token, options={"verify_signature": False})
    account, secret = acting.service.account.id, acting.service.secret_id
    assert (claims["sub"], claims["sid"]) == (acting.user.user.id, acting.user.session.id)
    assert (claims["act"], claims["client_id"]) == ({"sub": account, "sid": secret}, account)
    assert (claims["aud"], claims["scope"]) == (["auth"], "account.read")
    verified = await auth.verify(answer.access_token)
    assert (verified.active, verified.user_id, verified.actor_id) == (True, acting.user.user.id, account)
    profile = await auth.account.GetProfile(GetProfileRequest(), metadata=bearer(answer.access_token))
    assert profile.user.email == "ada@example.com"


async def test_it_opens_what_was_asked_for_and_nothing_that_a_person_does_in_person(auth: Auth, acting: Acting) -> None:
    """R41, and no step up: whoever acts has not authenticated as the user."""
    token = (await acting.act()).access_token
    writing = UpdateProfileRequest(user=User(display_name="x"))
    refused = await failure(auth.account.UpdateProfile(writing, metadata=bearer(token)))
    assert refused.facts == {"required_scope": "account.write"}
    refused = await failure(api_keys.create(auth, token))
    assert refused.facts == {"required_scope": ""}


async def test_it_lives_no_longer_than_the_users_own_token(auth: Auth, acting: Acting) -> None:
    forged = await forge(auth, acting.user.tokens)
    short = forged.token(exp=forged.claims["iat"] + 120)
    answer = await acting.act(short)
    assert answer.expire_time.seconds == forged.claims["iat"] + 120


async def test_it_ends_with_the_users_log_out(auth: Auth, acting: Acting) -> None:
    """R20."""
    await trusting(auth)
    token = (await acting.act()).access_token
    assert (await auth.verify(token)).active
    await auth.log_out(acting.user.tokens)
    assert (await auth.verify(token)).inactive_reason == INACTIVE_REASON_REVOKED
    refused = await failure(acting.act())
    assert (refused.code, refused.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "SUBJECT_TOKEN_INVALID")
    assert refused.facts == {"inactive_reason": "REVOKED"}


async def test_it_ends_with_the_services_secret_and_with_its_account(auth: Auth, acting: Acting) -> None:
    """R20, R21."""
    await trusting(auth)
    token = (await acting.act()).access_token
    assert (await auth.verify(token)).active
    suspension = SuspendUserRequest(user_id=acting.service.account.id)
    await auth.admin.SuspendUser(suspension, metadata=bearer(acting.boss))
    assert (await auth.verify(token)).inactive_reason == INACTIVE_REASON_USER_INACTIVE
    revocation = RevokeClientSecretRequest(
        service_account_id=acting.service.account.id, client_secret_id=acting.service.secret_id
    )
    await auth.admin.RevokeClientSecret(revocation, metadata=bearer(acting.boss))
    assert (await auth.verify(token)).inactive_reason == INACTIVE_REASON_REVOKED


async def test_nothing_is_to_be_had_that_the_service_or_the_user_has_not(auth: Auth, acting: Acting) -> None:
    refused = await failure(acting.act(scopes=["chat.write"]))
    assert (refused.reason, refused.facts) == ("SCOPE_NOT_ALLOWED", {"scope": "chat.write"})
    for own in ("users.act", "users.read"):
        assert (await failure(acting.act(scopes=[own]))).facts == {"scope": own}
    refused = await failure(acting.act(audiences=["auth", "mail"]))
    assert (refused.reason, refused.facts) == ("AUDIENCE_NOT_ALLOWED", {"audience": "mail"})
    assert list((await acting.act(audiences=["billing"])).audiences) == ["billing"]
    forged = await forge(auth, acting.user.tokens)
    refused = await failure(acting.act(forged.token(scope="chat.read")))
    assert refused.facts == {"scope": "account.read"}
    refused = await failure(acting.act(audiences=[], scopes=[]))
    assert refused.violations == {"audiences": "must have 1 to 20 items", "scopes": "must have 1 to 50 items"}


async def test_a_user_may_send_an_api_key_and_its_scopes_bind_the_service_too(auth: Auth, acting: Acting) -> None:
    key = await api_keys.create(auth, acting.user.tokens, scopes=["account.read"])
    token = (await acting.act(key.key_text)).access_token
    verified = await auth.verify(token)
    assert (verified.session_id, verified.session_kind) == (key.api_key.id, SESSION_KIND_API_KEY)
    assert list(verified.scopes) == ["account.read"]
    refused = await failure(acting.act(key.key_text, scopes=["chat.read"]))
    assert refused.facts == {"scope": "chat.read"}
    await api_keys.revoke(auth, acting.user.tokens, key.api_key.id)
    assert (await auth.verify(token)).inactive_reason == INACTIVE_REASON_REVOKED


async def test_only_a_persons_own_token_can_be_exchanged(auth: Auth, acting: Acting) -> None:
    """R30: none that a service holds, neither its own nor for a user."""
    subjects = [acting.token, (await acting.act()).access_token, acting.user.tokens.refresh_token, "rubbish"]
    for subject in subjects:
        refused = await failure(acting.act(subject))
        assert (refused.code, refused.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "SUBJECT_TOKEN_INVALID")


async def test_without_the_scope_for_it_nobody_acts_for_users(auth: Auth, acting: Acting) -> None:
    """R41: neither a service without any scope, nor one with others, a service key, or a person with the role."""
    plain = await client(auth, acting.boss)
    reader = await client(auth, acting.boss, scopes=["users.read", "account.read"])
    held = [bearer((await issue(auth, one)).access_token) for one in (plain, reader)]
    person = await auth.sign_up("service@example.com")
    await fetch(auth.database.url, "UPDATE users SET roles = '{service}' WHERE email = 'service@example.com'")
    held += [service_bearer(), bearer(person.tokens)]
    subject = acting.user.tokens.access_token
    request = ExchangeTokenRequest(subject_token=subject, audiences=["auth"], scopes=["account.read"])
    for metadata in held:
        refused = await failure(auth.auth.ExchangeToken(request, metadata=metadata))
        assert (refused.reason, refused.facts) == ("PERMISSION_DENIED", {"required_scope": "users.act"})
    refused = await failure(auth.auth.ExchangeToken(request, metadata=bearer(subject)))
    assert refused.facts == {"required_role": "service"}


async def test_a_permission_to_act_that_is_taken_away_is_gone_at_once(auth: Auth, acting: Acting) -> None:
    """R40."""
    await trusting(auth)
    await acting.act()
    request = UpdateServiceAccountRequest(
        service_account=ServiceAccount(id=acting.service.account.id, scopes=["account.read"]),
        update_mask=FieldMask(paths=["scopes"]),
    )
    await auth.admin.UpdateServiceAccount(request, metadata=bearer(acting.boss))
    assert (await failure(acting.act())).facts == {"required_scope": "users.act"}


async def test_no_exchange_and_no_call_on_behalf_of_a_user_leaves_an_event(auth: Auth, acting: Acting) -> None:
    before = await fetch(auth.database.url, "SELECT count(*) FROM audit_events")
    for _ in range(5):
        token = (await acting.act()).access_token
        await auth.account.GetProfile(GetProfileRequest(), metadata=bearer(token))
    assert await fetch(auth.database.url, "SELECT count(*) FROM audit_events") == before
