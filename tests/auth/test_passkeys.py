"""Passkeys: a log-in without a password, and a second factor beside one (R13, R14, F23)."""

import asyncio
import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from uuid import UUID

import cbor2
import grpc
import pytest

from protos.auth.v1 import factors_pb2, passkeys_pb2
from protos.auth.v1.account_service_pb2 import ListSessionsRequest
from protos.auth.v1.passkeys_pb2 import DeletePasskeyRequest, FinishPasskeyLogInRequest, ListPasskeysRequest
from protos.auth.v1.resources_pb2 import Tokens
from shared import ids
from tests.auth.factors import (
    ADA,
    ORIGIN,
    Owner,
    Watch,
    begin_passkey_log_in,
    begin_proof,
    begin_registration,
    complete,
    finish_passkey_log_in,
    finish_registration,
    passkey_log_in,
    regenerate,
    register,
    second_factors,
    succeeded,
)
from tests.authtest import PASSWORD, Auth, bearer
from tests.grpc_errors import failure
from tests.servers import fetch
from tools.authenticator import Authenticator, Credential, Json

MAKE_STALE = "UPDATE sessions SET auth_time = now() - interval '1 hour' WHERE id = $1::uuid"
Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def key() -> Authenticator:
    return Authenticator(ORIGIN)


async def with_passkey(auth: Auth, key: Authenticator, email: str = ADA, **rest: str) -> Tokens:
    tokens = (await auth.sign_up(email)).tokens
    await register(auth, tokens, key, **rest)
    return tokens


async def delete(auth: Auth, tokens: Tokens, passkey_id: str) -> passkeys_pb2.DeletePasskeyResponse:
    return await auth.account.DeletePasskey(DeletePasskeyRequest(passkey_id=passkey_id), metadata=bearer(tokens))


async def listed(auth: Auth, tokens: Tokens, **page: str | int) -> passkeys_pb2.ListPasskeysResponse:
    return await auth.account.ListPasskeys(ListPasskeysRequest(**page), metadata=bearer(tokens))


async def events(auth: Auth) -> list[str]:
    rows = await fetch(auth.database.url, "SELECT type FROM audit_events ORDER BY create_time, id")
    return [row["type"] for row in rows if row["type"] not in ("SIGN_UP", "LOG_IN")]


def encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def changed(credential: str, change: Change) -> str:
    answer = json.loads(credential)
    change(answer)
    return json.dumps(answer)


def client_data(**values: object) -> Change:
    def change(answer: dict[str, Any]) -> None:
        data = json.loads(decode(answer["response"]["clientDataJSON"]))
        answer["response"]["clientDataJSON"] = encode(json.dumps(data | values).encode())

    return change


async def test_the_question_for_a_passkey_is_what_browsers_take(auth: Auth, key: Authenticator) -> None:
    made = await auth.sign_up(display_name="Ada")
    begun = await begin_registration(auth, made.tokens)
    options = json.loads(begun.options_json)
    assert options["rp"] == {"name": "Parley", "id": "localhost"}
    assert options["user"] == {"id": encode(UUID(made.user.id).bytes), "name": ADA, "displayName": "Ada"}
    assert [each["alg"] for each in options["pubKeyCredParams"]] == [-8, -7, -257]
    assert options["authenticatorSelection"]["residentKey"] == "required"
    assert options["attestation"] == "none"
    assert len(decode(options["challenge"])) == 32
    assert begun.HasField("expire_time")
    assert options["excludeCredentials"] == []
    await finish_registration(auth, made.tokens, key.create(begun.options_json))
    again = json.loads((await begin_registration(auth, made.tokens)).options_json)
    [excluded] = again["excludeCredentials"]
    assert (excluded["id"], excluded["transports"]) == (encode(key.credentials[0].id), ["usb"])


async def test_a_passkey_logs_in_by_itself(auth: Auth, key: Authenticator) -> None:
    made = await auth.sign_up()
    added = await register(auth, made.tokens, key, name="Ada's key")
    assert (added.passkey.name, added.passkey.synced) == ("Ada's key", False)
    assert len(set(added.recovery_codes)) == 10
    options = json.loads(await begin_passkey_log_in(auth))
    assert (options["rpId"], options["userVerification"], options["allowCredentials"]) == ("localhost", "required", [])
    signed_in = await passkey_log_in(auth, key, device_label="laptop")
    assert signed_in.user.id == made.user.id
    assert signed_in.session.device_label == "laptop"
    verified = await auth.verify(signed_in.tokens.access_token)
    assert (verified.active, verified.assurance_level) == (True, 2)
    assert list(verified.auth_methods) == ["hwk", "user", "mfa"]
    assert (await listed(auth, made.tokens)).passkeys[0].HasField("last_used_time")
    assert await events(auth) == ["PASSKEY_ADDED"]


async def test_one_that_is_copied_to_other_devices_is_a_key_in_software(auth: Auth) -> None:
    """RFC 8176: `swk`."""
    phone = Authenticator(ORIGIN, synced=True, counts=False)
    await with_passkey(auth, phone)
    for _ in range(3):  # it does not count
        assert list((await passkey_log_in(auth, phone)).session.auth_methods) == ["swk", "user", "mfa"]


async def test_a_password_alone_is_not_enough_beside_a_passkey(auth: Auth, key: Authenticator) -> None:
    """R13."""
    await with_passkey(auth, key)
    challenge = (await auth.log_in()).challenge
    assert list(challenge.second_factors) == [
        factors_pb2.SECOND_FACTOR_PASSKEY,
        factors_pb2.SECOND_FACTOR_RECOVERY_CODE,
    ]
    options = json.loads(challenge.passkey_options_json)
    assert options["userVerification"] == "preferred"
    assert [each["id"] for each in options["allowCredentials"]] == [encode(key.credentials[0].id)]
    answer = key.get(challenge.passkey_options_json)
    completed = await complete(auth, challenge.challenge_token, passkey_credential_json=answer)
    assert list(completed.session.auth_methods) == ["pwd", "hwk", "user", "mfa"]
    assert completed.session.assurance_level == 2


async def test_one_that_does_not_verify_its_user_is_a_second_factor_and_no_log_in(auth: Auth) -> None:
    """R13: it is one factor, something that the user has."""
    stick = Authenticator(ORIGIN, verifies=False)
    await with_passkey(auth, stick)
    failed = await failure(passkey_log_in(auth, stick))
    assert (failed.code, failed.reason) == (grpc.StatusCode.UNAUTHENTICATED, "PASSKEY_INVALID")
    challenge = (await auth.log_in()).challenge
    answer = stick.get(challenge.passkey_options_json)
    completed = await complete(auth, challenge.challenge_token, passkey_credential_json=answer)
    assert (completed.session.assurance_level, list(completed.session.auth_methods)[:2]) == (2, ["pwd", "hwk"])


async def test_one_answer_in_sixteen_log_ins_at_once_opens_one(auth: Auth, key: Authenticator) -> None:
    """R14, F23, Zitadel CVE-2025-46815: also of an authenticator that does not count."""
    key.counts = False
    await with_passkey(auth, key)
    for _ in range(5):
        answer = key.get(await begin_passkey_log_in(auth))
        calls = (finish_passkey_log_in(auth, answer) for _ in range(16))
        assert succeeded(await asyncio.gather(*calls, return_exceptions=True)) == 1
        assert (await failure(finish_passkey_log_in(auth, answer))).reason == "PASSKEY_INVALID"


async def test_a_question_is_answered_once_also_wrongly(auth: Auth, key: Authenticator) -> None:
    await with_passkey(auth, key)
    answer = key.get(await begin_passkey_log_in(auth))
    wrong = changed(answer, lambda it: it["response"].update(signature=encode(b"x" * 70)))
    assert (await failure(finish_passkey_log_in(auth, wrong))).reason == "PASSKEY_INVALID"
    assert (await failure(finish_passkey_log_in(auth, answer))).reason == "PASSKEY_INVALID"


async def test_a_question_is_good_for_minutes(auth: Auth, key: Authenticator) -> None:
    tokens = await with_passkey(auth, key)
    other = Authenticator(ORIGIN)
    answer = key.get(await begin_passkey_log_in(auth))
    made = other.create((await begin_registration(auth, tokens)).options_json)
    left = "SELECT extract(epoch FROM expire_time - now()) AS seconds FROM passkey_challenges"
    assert all(240 < row["seconds"] <= 300 for row in await fetch(auth.database.url, left))
    await fetch(auth.database.url, "UPDATE passkey_challenges SET expire_time = now()")
    assert (await failure(finish_passkey_log_in(auth, answer))).reason == "PASSKEY_INVALID"
    failed = await failure(finish_registration(auth, tokens, made))
    assert (failed.code, failed.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "PASSKEY_NOT_REGISTERED")


async def test_a_copy_of_an_authenticator_is_refused_and_noted(auth: Auth, key: Authenticator) -> None:
    """R16: its count is behind."""
    await with_passkey(auth, key)
    copy = Authenticator(ORIGIN, credentials=[type(key.credentials[0])(**attributes(key.credentials[0]))])
    await passkey_log_in(auth, key)
    await passkey_log_in(auth, key)
    assert (await failure(passkey_log_in(auth, copy))).reason == "PASSKEY_INVALID"
    assert (await events(auth))[-1] == "PASSKEY_COPIED"
    assert (await passkey_log_in(auth, key)).HasField("tokens")
    key.counts = False
    assert (await failure(passkey_log_in(auth, key))).reason == "PASSKEY_INVALID"


def attributes(thing: object) -> dict[str, Any]:
    return {name: getattr(thing, name) for name in thing.__slots__}


@dataclass(slots=True)
class Forger(Authenticator):
    """Signs whatever it is told to, so that a wrong signature is not what is wrong."""

    says: dict[str, object] = field(default_factory=dict)
    flags: int | None = None
    domain: str = ""

    def _client_data(self, kind: str, options: Json) -> bytes:
        return json.dumps(json.loads(Authenticator._client_data(self, kind, options)) | self.says).encode()

    def _data(self, credential: Credential, *, attested: bool = False) -> bytes:
        data = Authenticator._data(self, credential, attested=attested)
        domain = sha256(self.domain.encode()).digest() if self.domain else data[:32]
        return domain + (data[32:33] if self.flags is None else bytes([self.flags])) + data[33:]


SIGNED: dict[str, dict[str, Any]] = {
    "another site": {"origin": "https://parley.example"},
    "another port of the site": {"origin": "http://localhost:3001"},
    "a site that begins alike": {"origin": "http://localhost:3000.parley.example"},
    "inside another page": {"says": {"crossOrigin": True}},
    "a registration": {"says": {"type": "webauthn.create"}},
    "another question": {"says": {"challenge": encode(b"c" * 32)}},
    "another domain": {"domain": "parley.example"},
    "nobody there": {"flags": 0x04},
    "nobody verified": {"flags": 0x01},
    "impossible flags": {"flags": 0x15},
}


@pytest.mark.parametrize("wrong", SIGNED)
async def test_what_is_wrong_with_what_was_signed_is_not_told(auth: Auth, key: Authenticator, wrong: str) -> None:
    await with_passkey(auth, key)
    forger = Forger(**{"origin": ORIGIN, "credentials": key.credentials} | SIGNED[wrong])
    failed = await failure(passkey_log_in(auth, forger))
    assert (failed.code, failed.reason) == (grpc.StatusCode.UNAUTHENTICATED, "PASSKEY_INVALID")
    assert failed.seen == (await failure(finish_passkey_log_in(auth, "{}"))).seen
    honest = Forger(origin=ORIGIN, credentials=key.credentials)
    assert (await passkey_log_in(auth, honest)).HasField("tokens")


WRONG: dict[str, Change] = {
    "another client's data": client_data(origin="https://parley.example"),
    "a wrong signature": lambda it: it["response"].update(signature=encode(b"\x30\x06\x02\x01\x01\x02\x01\x01")),
    "another user": lambda it: it["response"].update(userHandle=encode(b"u" * 16)),
    "no user": lambda it: it["response"].pop("userHandle"),
    "an unknown passkey": lambda it: it.update(id=encode(b"i" * 32), rawId=encode(b"i" * 32)),
    "two names": lambda it: it.update(id=encode(b"i" * 32)),
    "no passkey": lambda it: it.update(type="password"),
    "no response": lambda it: it.pop("response"),
    "rubbish inside": lambda it: it["response"].update(authenticatorData="!!!", clientDataJSON="\u0000"),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_what_is_wrong_with_an_answer_is_not_told(auth: Auth, key: Authenticator, wrong: str) -> None:
    await with_passkey(auth, key)
    answer = key.get(await begin_passkey_log_in(auth))
    failed = await failure(finish_passkey_log_in(auth, changed(answer, WRONG[wrong])))
    assert (failed.code, failed.reason) == (grpc.StatusCode.UNAUTHENTICATED, "PASSKEY_INVALID")
    assert failed.seen == (await failure(finish_passkey_log_in(auth, "{}"))).seen
    assert (await passkey_log_in(auth, key)).HasField("tokens")


RUBBISH = ["x", "[]", "null", "[" * 16_000, '{"id": 1}', "\u00e9" * 100, '"' + "\\u0000" * 100 + '"']


@pytest.mark.parametrize("text", RUBBISH)
async def test_rubbish_is_refused_without_an_accident(auth: Auth, text: str) -> None:
    tokens = (await auth.sign_up()).tokens
    assert (await failure(finish_passkey_log_in(auth, text))).reason == "PASSKEY_INVALID"
    assert (await failure(finish_registration(auth, tokens, text))).reason == "PASSKEY_NOT_REGISTERED"


def attestation(change: Callable[[dict[str, Any]], None]) -> Change:
    def apply(answer: dict[str, Any]) -> None:
        made = cbor2.loads(decode(answer["response"]["attestationObject"]))
        change(made)
        answer["response"]["attestationObject"] = encode(cbor2.dumps(made))

    return apply


def with_key(cose: dict[int, object]) -> Change:
    def change(made: dict[str, Any]) -> None:
        # 37 bytes before the credential, 16 of the model, 2 of the length, 32 of the id; then the key
        made["authData"] = made["authData"][: 37 + 16 + 2 + 32] + cbor2.dumps(cose)

    return attestation(change)


UNACCEPTABLE: dict[str, Change] = {
    "another site": client_data(origin="https://parley.example"),
    "inside another page": client_data(crossOrigin=True),
    "a log-in": client_data(type="webauthn.get"),
    "another question": client_data(challenge=encode(b"c" * 32)),
    "another domain": attestation(lambda it: it.update(authData=b"d" * 32 + it["authData"][32:])),
    "nobody there": attestation(lambda it: it.update(authData=it["authData"][:32] + b"\x40" + it["authData"][33:])),
    "a format that is not asked for": attestation(lambda it: it.update(fmt="tpm")),
    "a format that nobody knows": attestation(lambda it: it.update(fmt="x")),
    "a statement that is not asked for": attestation(lambda it: it.update(attStmt={"sig": b"x"})),
    "an algorithm that is not offered": with_key({1: 2, 3: -47, -1: 8, -2: b"x" * 32, -3: b"y" * 32}),
    "a point that is not on the curve": with_key({1: 2, 3: -7, -1: 1, -2: b"x" * 32, -3: b"y" * 32}),
    "no key": with_key({}),
}


@pytest.mark.parametrize("wrong", UNACCEPTABLE)
async def test_what_cannot_be_accepted_is_not_registered(auth: Auth, key: Authenticator, wrong: str) -> None:
    tokens = (await auth.sign_up()).tokens
    answer = key.create((await begin_registration(auth, tokens)).options_json)
    failed = await failure(finish_registration(auth, tokens, changed(answer, UNACCEPTABLE[wrong])))
    assert (failed.code, failed.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "PASSKEY_NOT_REGISTERED")
    assert not (await listed(auth, tokens)).passkeys
    assert (await auth.log_in()).HasField("tokens")


async def test_an_answer_for_one_purpose_is_none_for_another(auth: Auth, key: Authenticator) -> None:
    """A proof is no log-in, and what was asked of one user is none from another."""
    tokens = await with_passkey(auth, key)
    proof = key.get(await begin_proof(auth, tokens))
    assert (await failure(finish_passkey_log_in(auth, proof))).reason == "PASSKEY_INVALID"
    log_in = key.get(await begin_passkey_log_in(auth))
    failed = await failure(reauthenticate(auth, tokens, passkey_credential_json=log_in))
    assert failed.reason == "SECOND_FACTOR_INVALID"
    challenge = (await auth.log_in()).challenge
    fresh = key.get(await begin_proof(auth, tokens))
    failed = await failure(complete(auth, challenge.challenge_token, passkey_credential_json=fresh))
    assert failed.reason == "SECOND_FACTOR_INVALID"


async def test_another_users_passkey_completes_no_log_in_of_mine(auth: Auth, key: Authenticator) -> None:
    """R38."""
    await with_passkey(auth, Authenticator(ORIGIN))
    await with_passkey(auth, key, "eve@example.com")
    challenge = (await auth.log_in()).challenge
    question = json.loads(challenge.passkey_options_json) | {"allowCredentials": []}
    failed = await failure(
        complete(auth, challenge.challenge_token, passkey_credential_json=key.get(json.dumps(question)))
    )
    assert failed.reason == "SECOND_FACTOR_INVALID"


async def test_what_one_user_was_asked_another_cannot_answer(auth: Auth, key: Authenticator) -> None:
    """R38: for a registration."""
    ada, eve = (await auth.sign_up()).tokens, (await auth.sign_up("eve@example.com")).tokens
    answer = key.create((await begin_registration(auth, ada)).options_json)
    assert (await failure(finish_registration(auth, eve, answer))).reason == "PASSKEY_NOT_REGISTERED"
    assert (await finish_registration(auth, ada, answer)).passkey.id


async def test_a_registration_is_made_once(auth: Auth, key: Authenticator) -> None:
    tokens = (await auth.sign_up()).tokens
    answer = key.create((await begin_registration(auth, tokens)).options_json)
    calls = (finish_registration(auth, tokens, answer) for _ in range(16))
    assert succeeded(await asyncio.gather(*calls, return_exceptions=True)) == 1
    assert len((await listed(auth, tokens)).passkeys) == 1


async def test_a_passkey_belongs_to_one_account(auth: Auth, key: Authenticator) -> None:
    await with_passkey(auth, key)
    eve = (await auth.sign_up("eve@example.com")).tokens
    used = key.credentials[0].id
    answer = key.create((await begin_registration(auth, eve)).options_json)
    made = cbor2.loads(decode(json.loads(answer)["response"]["attestationObject"]))
    stolen = attestation(lambda it: it.update(authData=made["authData"].replace(key.credentials[1].id, used)))
    renamed = changed(changed(answer, stolen), lambda it: it.update(id=encode(used), rawId=encode(used)))
    failed = await failure(finish_registration(auth, eve, renamed))
    assert (failed.code, failed.reason) == (grpc.StatusCode.ALREADY_EXISTS, "PASSKEY_TAKEN")


async def test_an_account_has_at_most_twenty_also_where_many_come_at_once(auth: Auth) -> None:
    tokens = (await auth.sign_up()).tokens
    keys = [Authenticator(ORIGIN) for _ in range(25)]
    for key in keys[:18]:
        await register(auth, tokens, key)
    answers = await asyncio.gather(*(register(auth, tokens, key) for key in keys[18:]), return_exceptions=True)
    assert succeeded(answers) <= 2
    while len((await listed(auth, tokens)).passkeys) < 20:  # those who raced for one place were told to repeat
        await register(auth, tokens, Authenticator(ORIGIN))
    failed = await failure(register(auth, tokens, Authenticator(ORIGIN)))
    assert (failed.code, failed.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "TOO_MANY_PASSKEYS")
    assert len((await listed(auth, tokens)).passkeys) == 20


async def test_pages_of_passkeys_are_in_the_order_of_their_registration(auth: Auth) -> None:
    tokens = (await auth.sign_up()).tokens
    for number in range(5):
        await register(auth, tokens, Authenticator(ORIGIN), name=f"key {number}")
    names, token = [], ""
    while True:
        page = await listed(auth, tokens, page_size=2, page_token=token)
        names += [each.name for each in page.passkeys]
        token = page.next_page_token
        if not token:
            break
    assert names == [f"key {number}" for number in range(5)]
    eve = (await auth.sign_up("eve@example.com")).tokens
    first = await listed(auth, tokens, page_size=2)
    failed = await failure(listed(auth, eve, page_token=first.next_page_token))
    assert set(failed.violations) == {"page_token"}


async def test_a_deleted_passkey_opens_nothing_and_the_last_takes_the_recovery_codes_along(
    auth: Auth, key: Authenticator
) -> None:
    tokens = await with_passkey(auth, key)
    spare = Authenticator(ORIGIN)
    assert not (await register(auth, tokens, spare)).recovery_codes
    first, second = (await listed(auth, tokens)).passkeys
    await delete(auth, tokens, first.id)
    assert (await failure(passkey_log_in(auth, key))).reason == "PASSKEY_INVALID"
    assert (await passkey_log_in(auth, spare)).HasField("tokens")
    told = await second_factors(auth, tokens)
    assert (told.passkey_count, told.recovery_code_count) == (1, 10)
    await delete(auth, tokens, second.id)
    told = await second_factors(auth, tokens)
    assert (told.passkey_count, told.recovery_code_count) == (0, 0)
    assert (await auth.log_in()).HasField("tokens")
    assert (await events(auth))[-2:] == ["PASSKEY_DELETED"] * 2


async def test_another_users_passkey_is_not_found_as_one_that_is_nobodys(auth: Auth, key: Authenticator) -> None:
    """R38."""
    tokens = await with_passkey(auth, key)
    eve = (await auth.sign_up("eve@example.com")).tokens
    theirs = (await listed(auth, tokens)).passkeys[0].id
    failures = [await failure(delete(auth, eve, passkey_id)) for passkey_id in (theirs, str(ids.new_id()))]
    assert (failures[0].code, failures[0].reason) == (grpc.StatusCode.NOT_FOUND, "PASSKEY_NOT_FOUND")
    assert failures[0].seen == failures[1].seen
    assert not (await listed(auth, eve)).passkeys
    assert (await passkey_log_in(auth, key)).HasField("tokens")


async def test_only_a_fresh_session_of_two_factors_adds_or_deletes_one(auth: Auth, key: Authenticator) -> None:
    """R24."""
    made = await auth.sign_up()
    before = await auth.log_in()
    await register(auth, made.tokens, key)
    passkey = (await listed(auth, made.tokens)).passkeys[0].id
    for call in (begin_registration(auth, before.tokens), delete(auth, before.tokens, passkey)):
        assert (await failure(call)).facts == {"assurance_level": "2"}
    stale = await passkey_log_in(auth, key)
    await fetch(auth.database.url, MAKE_STALE, stale.session.id)
    for call in (begin_registration(auth, stale.tokens), delete(auth, stale.tokens, passkey)):
        assert (await failure(call)).facts == {"max_age_seconds": "600"}


async def test_the_session_that_adds_one_has_proven_two_factors_and_others_may_end(
    auth: Auth, key: Authenticator
) -> None:
    made = await auth.sign_up()
    other = await auth.log_in()
    await register(auth, made.tokens, key, revoke_other_sessions=True)
    verified = await auth.verify(made.tokens.access_token)
    assert (verified.assurance_level, list(verified.auth_methods)) == (2, ["pwd", "hwk", "user", "mfa"])
    assert not (await auth.verify(other.tokens.access_token)).active
    sessions = await auth.account.ListSessions(ListSessionsRequest(), metadata=bearer(made.tokens))
    assert [each.id for each in sessions.sessions] == [made.session.id]


async def test_with_an_email_the_passkey_must_be_that_accounts(auth: Auth, key: Authenticator) -> None:
    await with_passkey(auth, key)
    assert (await passkey_log_in(auth, key, "ADA@example.com")).user.email == ADA
    assert (await failure(passkey_log_in(auth, key, "eve@example.com"))).reason == "PASSKEY_INVALID"


async def test_the_question_is_the_same_whether_anybody_has_the_email(auth: Auth, key: Authenticator) -> None:
    """R11: but for its challenge."""
    await with_passkey(auth, key)
    questions = [json.loads(await begin_passkey_log_in(auth, email)) for email in ("", ADA, "nobody@example.com")]
    assert len({question.pop("challenge") for question in questions}) == 3
    assert questions[0] == questions[1] == questions[2]


@pytest.mark.parametrize("state", ["state = 'SUSPENDED'", "state = 'DELETED', purge_time = now()"])
async def test_an_account_that_is_shut_between_the_steps_is_not_entered(
    auth: Auth, key: Authenticator, state: str
) -> None:
    """R13, R21."""
    await with_passkey(auth, key)
    answer = key.get(await begin_passkey_log_in(auth))
    await fetch(auth.database.url, f"UPDATE users SET {state}")
    assert (await failure(finish_passkey_log_in(auth, answer))).reason == "PASSKEY_INVALID"


async def test_a_log_in_takes_the_place_of_the_session_that_it_is_made_with(auth: Auth, key: Authenticator) -> None:
    """R18."""
    tokens = await with_passkey(auth, key)
    request = FinishPasskeyLogInRequest(passkey_credential_json=key.get(await begin_passkey_log_in(auth)))
    signed_in = await auth.auth.FinishPasskeyLogIn(request, metadata=bearer(tokens))
    assert not (await auth.verify(tokens.access_token)).active
    assert (await auth.verify(signed_in.tokens.access_token)).active


async def reauthenticate(auth: Auth, tokens: Tokens, **proof: str) -> factors_pb2.ReauthenticateResponse:
    return await auth.account.Reauthenticate(factors_pb2.ReauthenticateRequest(**proof), metadata=bearer(tokens))


async def test_a_passkey_that_verifies_its_user_is_a_fresh_proof_alone(auth: Auth, key: Authenticator) -> None:
    """R18, R24."""
    tokens = await with_passkey(auth, key)
    answer = key.get(await begin_proof(auth, tokens))
    fresh = await reauthenticate(auth, tokens, passkey_credential_json=answer)
    assert (fresh.session.assurance_level, list(fresh.session.auth_methods)) == (2, ["hwk", "user", "mfa"])
    assert not (await auth.verify(tokens.access_token)).active
    assert (await failure(reauthenticate(auth, fresh.tokens, passkey_credential_json=answer))).reason == (
        "SECOND_FACTOR_INVALID"
    )


async def test_one_that_does_not_needs_the_password_beside_it(auth: Auth) -> None:
    stick = Authenticator(ORIGIN, verifies=False)
    tokens = await with_passkey(auth, stick)
    answer = stick.get(await begin_proof(auth, tokens))
    assert (await failure(reauthenticate(auth, tokens, passkey_credential_json=answer))).reason == (
        "SECOND_FACTOR_INVALID"
    )
    answer = stick.get(await begin_proof(auth, tokens))
    fresh = await reauthenticate(auth, tokens, password=PASSWORD, passkey_credential_json=answer)
    assert fresh.session.assurance_level == 2


async def test_who_has_none_is_not_asked_for_one(auth: Auth) -> None:
    tokens = (await auth.sign_up()).tokens
    assert (await failure(begin_proof(auth, tokens))).reason == "SECOND_FACTOR_NOT_FOUND"


async def test_it_goes_beside_an_app_and_either_is_enough(owner: Owner, watch: Watch, key: Authenticator) -> None:
    auth, tokens = owner.auth, owner.tokens
    assert not (await register(auth, tokens, key)).recovery_codes
    challenge = await owner.challenge()
    assert len(challenge.second_factors) == 3
    assert (await owner.complete(challenge)).HasField("tokens")
    answer = key.get(await begin_proof(auth, tokens))
    disable = factors_pb2.DisableTotpRequest(passkey_credential_json=answer)
    await auth.account.DisableTotp(disable, metadata=bearer(tokens))
    told = await second_factors(auth, tokens)
    assert (told.totp_enabled, told.passkey_count, told.recovery_code_count) == (False, 1, 10)
    assert len((await regenerate(auth, tokens)).recovery_codes) == 10
    assert list((await owner.challenge()).second_factors) == [
        factors_pb2.SECOND_FACTOR_PASSKEY,
        factors_pb2.SECOND_FACTOR_RECOVERY_CODE,
    ]


async def test_fields_that_are_too_long_or_missing_are_told(auth: Auth) -> None:
    tokens = (await auth.sign_up()).tokens
    failed = await failure(finish_registration(auth, tokens, "x" * 16_385, name="x" * 101))
    assert set(failed.violations) == {"credential_json", "name"}
    failed = await failure(finish_passkey_log_in(auth, "", device_label="x" * 101))
    assert set(failed.violations) == {"passkey_credential_json", "device_label"}
    assert set((await failure(delete(auth, tokens, "x"))).violations) == {"passkey_id"}
    assert set((await failure(begin_passkey_log_in(auth, "x"))).violations) == {"email"}
