"""Machines and whoever acts for users, in chat and in services that verify for themselves."""

import os
from typing import Any

import grpc
import pytest

from protos.auth.v1.administration_pb2 import SuspendUserRequest
from protos.auth.v1.service_accounts_pb2 import RevokeClientSecretRequest
from shared import machine_secrets
from shared.errors import Unauthenticated
from shared.grpc import sessions
from shared.identity import SessionKind
from tests.auth import api_keys
from tests.auth.service_accounts import administrator, client, exchange, issue
from tests.auth.test_revocation import trusting
from tests.authtest import Auth, bearer
from tests.grpc_errors import failure
from tests.servers import Servers
from tests.system.test_both_services import Chat, chat, chat_database
from tests.system.test_shared_cache import found_by, reading
from tests.system.test_verify_anywhere import local, up_to_date

__all__ = ["chat", "chat_database"]


async def revoke_secret(auth: Auth, boss: Any, of: Any) -> None:
    request = RevokeClientSecretRequest(service_account_id=of.account.id, client_secret_id=of.secret_id)
    await auth.admin.RevokeClientSecret(request, metadata=bearer(boss))


async def refusal(verifier: Any, token: str) -> str:
    with pytest.raises(Unauthenticated) as refused:
        await verifier.verify(token)
    return refused.value.facts["inactive_reason"]


async def test_a_key_writes_to_chat_and_what_it_wrote_names_it(auth: Auth, chat: Chat) -> None:
    ada = await auth.sign_up()
    made = await api_keys.create(auth, ada.tokens, scopes=["chat.read", "chat.write"])
    conversation = await chat.create(made.key_text)
    assert (await chat.send(made.key_text, conversation.id, "by a robot")).session_id == made.api_key.id
    assert (await chat.send(ada.tokens.access_token, conversation.id, "by hand")).session_id == ada.session.id
    reader = await api_keys.create(auth, ada.tokens, scopes=["chat.read"])
    refused = await failure(chat.create(reader.key_text))
    assert (refused.reason, refused.facts) == ("PERMISSION_DENIED", {"required_scope": "chat.write"})


async def test_chat_refuses_the_very_next_call_after_a_key_was_ended(auth: Auth, chat: Chat) -> None:
    """R20: also one that chat has checked by itself."""
    tokens = (await auth.sign_up()).tokens
    await trusting(auth)
    for _ in range(20):
        made = await api_keys.create(auth, tokens, scopes=["chat.write"])
        for _ in range(3):
            await chat.create(made.key_text)
        await api_keys.revoke(auth, tokens, made.api_key.id)
        refused = await failure(chat.create(made.key_text))
        assert (refused.code, refused.facts) == (grpc.StatusCode.UNAUTHENTICATED, {"inactive_reason": "REVOKED"})


async def test_chat_takes_a_services_token_that_is_for_chat_alone(auth: Auth, chat: Chat) -> None:
    """R31, R41: what the service does for itself is its own, and no user's."""
    boss = (await administrator(auth)).tokens
    robot = await client(auth, boss, scopes=["chat.write"], roles=[])
    token = await issue(auth, robot, audiences=["chat"])
    conversation = await chat.create(token.access_token)
    refused = await failure(chat.send(boss.access_token, conversation.id, "whose is it"))
    assert refused.reason == "CONVERSATION_NOT_FOUND"
    refused = await failure(chat.create((await issue(auth, robot, audiences=["auth"])).access_token))
    assert (refused.code, refused.facts) == (grpc.StatusCode.UNAUTHENTICATED, {"inactive_reason": "INVALID"})
    assert (await failure(chat.create(robot.secret))).facts == {"inactive_reason": "MALFORMED"}


async def test_what_a_service_writes_for_a_user_is_the_users_and_ends_with_the_log_out(auth: Auth, chat: Chat) -> None:
    """R20, R41."""
    boss = (await administrator(auth)).tokens
    robot = await client(auth, boss, scopes=["chat.read", "chat.write", "users.act"])
    held = (await issue(auth, robot)).access_token
    await auth.sign_up()
    await trusting(auth)
    for _ in range(10):
        user = await auth.log_in()
        asked = {"audiences": ["chat"], "scopes": ["chat.write"]}
        acting = (await exchange(auth, held, user.tokens.access_token, **asked)).access_token
        conversation = await chat.create(user.tokens.access_token)
        assert (await chat.send(acting, conversation.id, "for a user")).session_id == user.session.id
        await auth.log_out(user.tokens)
        refused = await failure(chat.send(acting, conversation.id, "after the log-out"))
        assert (refused.code, refused.facts) == (grpc.StatusCode.UNAUTHENTICATED, {"inactive_reason": "REVOKED"})


async def test_chat_refuses_who_acts_as_soon_as_the_actor_may_not(auth: Auth, chat: Chat) -> None:
    """R20, R21."""
    boss = (await administrator(auth)).tokens
    user = await auth.sign_up()
    await trusting(auth)

    async def suspend(of: Any) -> None:
        await auth.admin.SuspendUser(SuspendUserRequest(user_id=of.account.id), metadata=bearer(boss))

    async def revoke(of: Any) -> None:
        await revoke_secret(auth, boss, of)

    for end, reason in ((suspend, "USER_INACTIVE"), (revoke, "REVOKED")):
        robot = await client(auth, boss, scopes=["chat.write", "users.act"])
        held = (await issue(auth, robot)).access_token
        asked = {"audiences": ["chat"], "scopes": ["chat.write"]}
        acting = (await exchange(auth, held, user.tokens.access_token, **asked)).access_token
        for _ in range(3):
            await chat.create(acting)
        await end(robot)
        assert (await failure(chat.create(acting))).facts == {"inactive_reason": reason}
        assert await chat.create(user.tokens.access_token)


async def test_on_the_shared_cache_a_key_is_asked_about_once_a_minute(
    auth: Auth, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So its use is noted, and the other calls cost auth nothing."""
    ada = await auth.sign_up()
    made = await api_keys.create(auth, ada.tokens)
    await trusting(auth)
    async with reading(auth.server.port, servers.redis.url) as verifier:
        asked, cached = found_by("auth"), found_by("cache")
        principals = [await verifier.verify(made.key_text) for _ in range(5)]
        assert (found_by("auth") - asked, found_by("cache") - cached) == (1, 4)
        assert principals == [principals[0]] * 5
        assert (principals[0].kind, principals[0].scopes) == (SessionKind.API_KEY, tuple(api_keys.SCOPES))
        wrong, _ = machine_secrets.write(SessionKind.API_KEY, principals[0].session_id, os.urandom(32))
        assert await refusal(verifier, wrong) == "INVALID"
        assert await refusal(verifier, made.key_text[:-1] + "x") == "MALFORMED"
        assert found_by("auth") - asked == 1
        monkeypatch.setattr(sessions, "_ASK_AGAIN_SECONDS", 0.0)
        await verifier.verify(made.key_text)
        assert found_by("auth") - asked == 2
        monkeypatch.setattr(sessions, "_ASK_AGAIN_SECONDS", 60.0)
        await api_keys.revoke(auth, ada.tokens, made.api_key.id)
        for _ in range(5):
            assert await refusal(verifier, made.key_text) == "REVOKED"


async def test_on_the_feed_a_machine_is_what_its_token_says_until_that_is_no_longer_so(auth: Auth) -> None:
    """R20, R21: limits and the actor travel in the token, and what ends either is heard."""
    boss = (await administrator(auth)).tokens
    robot = await client(auth, boss, scopes=["chat.read", "users.act"])
    plain = await client(auth, boss)
    held = (await issue(auth, robot)).access_token
    user = await auth.sign_up()
    acting = (await exchange(auth, held, user.tokens.access_token)).access_token
    async with local(auth) as verifier:
        fed = found_by("feed")
        found = await verifier.verify(held)
        assert (found.kind, found.scopes, found.roles) == (
            SessionKind.CLIENT_SECRET, ("chat.read", "users.act"), ("service",)
        )  # fmt: skip
        unlimited = await verifier.verify((await issue(auth, plain)).access_token)
        assert (unlimited.kind, unlimited.scopes) == (SessionKind.CLIENT_SECRET, ())
        found = await verifier.verify(acting)
        assert (str(found.user_id), str(found.actor_id)) == (user.user.id, robot.account.id)
        assert found.scopes == ("chat.read",)
        assert found_by("feed") - fed == 3
        await revoke_secret(auth, boss, robot)
        await up_to_date(verifier)
        assert await refusal(verifier, held) == await refusal(verifier, acting) == "REVOKED"
        assert await verifier.verify(user.tokens.access_token)


async def test_on_the_feed_whoever_acts_is_asked_about_once_the_actor_has_changed(auth: Auth) -> None:
    """R21."""
    boss = (await administrator(auth)).tokens
    robot = await client(auth, boss, scopes=["chat.read", "users.act"])
    user = await auth.sign_up()
    acting = (await exchange(auth, (await issue(auth, robot)).access_token, user.tokens.access_token)).access_token
    async with local(auth) as verifier:
        assert await verifier.verify(acting)
        request = SuspendUserRequest(user_id=robot.account.id)
        await auth.admin.SuspendUser(request, metadata=bearer(boss))
        await up_to_date(verifier)
        assert await refusal(verifier, acting) == "USER_INACTIVE"
        await auth.log_out(user.tokens)
        await up_to_date(verifier)
        assert await refusal(verifier, acting) == "REVOKED"
