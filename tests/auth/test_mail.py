"""Mail: what is queued with a change is sent once it is committed, and tried again until it is taken."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import asyncpg
import pytest
from prometheus_client import REGISTRY

from auth_service.mail.sender import BATCH
from shared.embedded import free_port
from tests.auth.addresses import calling_from
from tests.authtest import PASSWORD, Auth, auth_config, running_auth
from tests.mailtest import Mailbox, mailbox
from tests.servers import Servers, TestDatabase, fetch

ADA = "ada@example.com"
FROM = "Parley <no-reply@parley.test>"


@pytest.fixture
def mails() -> Iterator[Mailbox]:
    with mailbox() as box:
        yield box


@asynccontextmanager
async def mailing(servers: Servers, database: TestDatabase, url: str, **settings: object) -> AsyncIterator[Auth]:
    config = auth_config(database, servers.redis.url, AUTH_SMTP_URL=url, AUTH_MAIL_FROM=FROM, **settings)
    async with running_auth(database, config) as auth:
        yield auth


@pytest.fixture
async def auth(servers: Servers, auth_database: TestDatabase, mails: Mailbox) -> AsyncIterator[Auth]:
    async with mailing(servers, auth_database, mails.url) as running:
        yield running


async def log_in_elsewhere(auth: Auth, email: str = ADA, address: str = "127.0.0.9") -> None:
    """What makes a mail."""
    async with calling_from(address, auth) as elsewhere:
        await elsewhere.log_in(email)


async def outbox(auth: Auth) -> list[asyncpg.Record]:
    return await fetch(auth.database.url, "SELECT * FROM mail_outbox ORDER BY id")


async def emptied(auth: Auth) -> None:
    async with asyncio.timeout(20):
        while await outbox(auth):
            await asyncio.sleep(0.01)


async def retried_now(auth: Auth) -> None:
    """The pause before the next attempt is over."""
    await fetch(auth.database.url, "UPDATE mail_outbox SET due_time = now() WHERE failure IS NULL")


async def test_a_log_in_from_a_new_address_is_told_to_the_owner_and_one_from_a_known_address_is_not(
    auth: Auth, mails: Mailbox
) -> None:
    """R16."""
    await auth.sign_up()
    await auth.log_in()
    assert await outbox(auth) == []
    await log_in_elsewhere(auth)
    mail = await mails.next_to(ADA)
    await emptied(auth)
    await log_in_elsewhere(auth)
    assert await outbox(auth) == []
    assert len(mails.received) == 1
    assert "127.0.0.9" in mail.text
    assert "127.0.0.9" in mail.html
    assert "grpc-python" in mail.text


async def test_a_new_device_at_a_known_address_is_told(auth: Auth, mails: Mailbox) -> None:
    from protos.auth.v1.auth_service_pb2 import LogInRequest  # noqa: PLC0415

    await auth.sign_up()
    await auth.auth.LogIn(LogInRequest(email=ADA, password=PASSWORD, device_label="Eve's phone"))
    assert "Eve's phone" in (await mails.next_to(ADA)).text


async def test_a_wrong_password_from_elsewhere_is_told_to_nobody(auth: Auth) -> None:
    await auth.sign_up()
    async with calling_from("127.0.0.9", auth) as elsewhere:
        with pytest.raises(Exception, match="wrong"):
            await elsewhere.log_in(password="not the password")
    assert await outbox(auth) == []


async def test_the_notice_can_be_turned_off(servers: Servers, auth_database: TestDatabase, mails: Mailbox) -> None:
    async with mailing(servers, auth_database, mails.url, new_device_mail=False) as auth:
        await auth.sign_up()
        await log_in_elsewhere(auth)
        assert await outbox(auth) == []


async def test_a_mail_has_the_headers_that_it_needs_and_none_that_invite_an_answer(auth: Auth, mails: Mailbox) -> None:
    await auth.sign_up()
    await log_in_elsewhere(auth)
    mail = await mails.next_to(ADA)
    message = mail.message
    assert (mail.sender, mail.recipients) == ("no-reply@parley.test", [ADA])
    assert message["From"] == FROM
    assert message["To"] == ADA
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Content-Language"] == "en"
    assert re.fullmatch(r"<[0-9a-f-]{36}@parley\.test>", message["Message-ID"])
    assert abs(parsedate_to_datetime(message["Date"]) - datetime.now(UTC)) < timedelta(minutes=1)
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert not [name for name in message if name.lower().startswith(("list-", "reply-to", "bcc"))]


@pytest.mark.parametrize(
    ("locale", "language"), [("de", "de"), ("de-AT", "de"), ("DE_ch", "de"), ("fr", "en"), ("", "en")]
)
async def test_a_mail_is_in_the_language_of_the_account(auth: Auth, mails: Mailbox, locale: str, language: str) -> None:
    await auth.sign_up()
    await fetch(auth.database.url, "UPDATE users SET locale = $1", locale)
    await log_in_elsewhere(auth)
    message = (await mails.next_to(ADA)).message
    assert message["Content-Language"] == language
    assert message["Subject"].startswith({"en": "A new sign-in", "de": "Neue Anmeldung"}[language])


HOSTILE = '<b>WIN</b> https://evil.example "click" \u202e{{ 7 * 7 }}'


async def test_a_name_that_somebody_chose_is_escaped_and_is_no_link(auth: Auth, mails: Mailbox) -> None:
    await auth.sign_up(display_name=HOSTILE)
    await fetch(auth.database.url, "UPDATE users SET email_verify_time = now()")
    await log_in_elsewhere(auth)
    mail = await mails.next_to(ADA)
    assert "<b>" not in mail.html
    assert "&lt;b&gt;WIN" in mail.html
    for part in (mail.text, mail.html):
        assert "evil.example" not in part
        assert "https://" not in part
        assert "{{ 7 * 7 }}" in part
        assert "\u202e" not in part


async def test_whose_address_is_not_confirmed_is_not_called_by_a_name_that_anybody_may_have_chosen(
    auth: Auth, mails: Mailbox
) -> None:
    """Else a sign-up with another's address would send them any text, from us."""
    await auth.sign_up(display_name="Buy cheap watches")
    await log_in_elsewhere(auth)
    mail = await mails.next_to(ADA)
    assert "watches" not in mail.text + mail.html
    assert mail.text.startswith("Hello,")


async def test_a_device_that_somebody_named_cannot_write_a_mail_of_its_own(auth: Auth, mails: Mailbox) -> None:
    from protos.auth.v1.auth_service_pb2 import LogInRequest  # noqa: PLC0415

    await auth.sign_up()
    label = "phone\r\nBcc: eve@example.com\r\n\r\nVisit http://evil.example/" + "x" * 40
    await auth.auth.LogIn(LogInRequest(email=ADA, password=PASSWORD, device_label=label))
    mail = await mails.next_to(ADA)
    assert mail.recipients == [ADA]
    assert mail.message["Bcc"] is None
    assert "evil.example" not in mail.text
    assert "phone Bcc: eve example. com" in mail.text.replace("\r\n", " ").replace("\n", " ")


@pytest.mark.parametrize("address", ["ada@bücher.example.com", "ädä@example.com"])
async def test_an_international_address_is_reached(auth: Auth, mails: Mailbox, address: str) -> None:
    await auth.sign_up(address)
    await log_in_elsewhere(auth, address)
    reached = {"ada@bücher.example.com": "ada@xn--bcher-kva.example.com"}.get(address, address)
    assert (await mails.next_to(reached)).message["To"] == reached


async def test_no_address_and_no_fact_can_be_read_in_the_outbox(auth: Auth, mails: Mailbox) -> None:
    mails.answers[ADA] = ["451 later"]
    await auth.sign_up()
    await log_in_elsewhere(auth)
    async with asyncio.timeout(20):
        while mails.answers[ADA]:
            await asyncio.sleep(0.01)
    [row] = await outbox(auth)
    assert b"127.0.0.9" not in row["content_sealed"]
    assert ADA not in str(row)


async def test_a_mail_that_is_not_taken_now_is_sent_later_under_the_same_id(auth: Auth, mails: Mailbox) -> None:
    mails.answers[ADA] = ["451 4.7.1 greylisted, ada@example.com", "421 busy"]
    await auth.sign_up()
    await log_in_elsewhere(auth)
    for attempts in (1, 2):
        async with asyncio.timeout(20):
            while [row["attempts"] for row in await outbox(auth)] != [attempts] or len(
                mails.answers[ADA]
            ) > 2 - attempts:
                await asyncio.sleep(0.01)
        await settled(auth)
        [row] = await outbox(auth)
        assert row["due_time"] > datetime.now(UTC) + timedelta(seconds=(3, 20)[attempts - 1])
        assert mails.received == []
        await retried_now(auth)
    mail = await mails.next_to(ADA)
    assert mail.message["Message-ID"].startswith(f"<{row['id']}@")
    await emptied(auth)
    assert len(mails.received) == 1


async def settled(auth: Auth) -> None:
    """The attempt that is under way has been written back: its lease, of a minute, has become a pause."""
    async with asyncio.timeout(20):
        while [row for row in await outbox(auth) if row["due_time"] > datetime.now(UTC) + timedelta(seconds=45)]:
            await asyncio.sleep(0.01)


async def test_a_mail_that_is_refused_for_good_is_given_up_and_noted_without_what_it_said(
    auth: Auth, mails: Mailbox
) -> None:
    before = REGISTRY.get_sample_value("parley_mails_total", {"kind": "NEW_DEVICE", "outcome": "refused"}) or 0
    mails.answers[ADA] = ["550 5.1.1 no such user ada@example.com"]
    await auth.sign_up()
    await log_in_elsewhere(auth)
    async with asyncio.timeout(20):
        while not [row for row in await outbox(auth) if row["failure"]]:
            await asyncio.sleep(0.01)
    [row] = await outbox(auth)
    assert (row["failure"], row["content_sealed"], row["attempts"]) == ("550 5.1.1", b"", 1)
    assert REGISTRY.get_sample_value("parley_mails_total", {"kind": "NEW_DEVICE", "outcome": "refused"}) == before + 1


async def test_what_is_queued_while_the_mail_server_is_down_is_sent_when_it_is_back(
    servers: Servers, auth_database: TestDatabase
) -> None:
    port = free_port()
    async with mailing(servers, auth_database, f"smtp://127.0.0.1:{port}") as auth:
        await auth.sign_up()
        await log_in_elsewhere(auth)
        async with asyncio.timeout(20):
            while [row["attempts"] for row in await outbox(auth)] != [1]:
                await asyncio.sleep(0.01)
        await settled(auth)
        with mailbox(port=port) as mails:
            await retried_now(auth)
            await mails.next_to(ADA)
            await emptied(auth)


async def test_without_a_mail_server_nothing_is_tried_and_what_is_queued_waits(
    servers: Servers, auth_database: TestDatabase
) -> None:
    async with running_auth(auth_database, auth_config(auth_database, servers.redis.url)) as auth:
        await auth.sign_up()
        await log_in_elsewhere(auth)
        [row] = await outbox(auth)
        assert (row["kind"], row["attempts"]) == ("NEW_DEVICE", 0)


async def test_a_mail_that_has_expired_is_not_sent(
    servers: Servers, auth_database: TestDatabase, mails: Mailbox
) -> None:
    async with running_auth(auth_database, auth_config(auth_database, servers.redis.url)) as silent:
        await silent.sign_up()
        await log_in_elsewhere(silent)
        await fetch(auth_database.url, "UPDATE mail_outbox SET expire_time = now()")
        await log_in_elsewhere(silent, address="127.0.0.10")
        config = silent.config
    config = config.model_copy(update={"smtp_url": _secret(mails.url), "mail_from": FROM})
    async with running_auth(auth_database, config):
        assert "127.0.0.10" in (await mails.next_to(ADA)).text
        assert len(mails.received) == 1


def _secret(text: str):
    from pydantic import SecretStr  # noqa: PLC0415

    return SecretStr(text)


async def test_two_replicas_send_each_mail_once(auth: Auth, mails: Mailbox) -> None:
    people = [f"ada{number}@example.com" for number in range(3 * BATCH)]
    await asyncio.gather(*(auth.sign_up(email) for email in people))
    async with running_auth(auth.database, auth.config):
        async with calling_from("127.0.0.9", auth) as elsewhere:
            await asyncio.gather(*(elsewhere.log_in(email) for email in people))
        await emptied(auth)
    assert sorted(mail.recipients[0] for mail in mails.received) == sorted(people)


async def test_a_mail_that_a_dead_replica_had_taken_is_sent_when_its_lease_is_over(auth: Auth, mails: Mailbox) -> None:
    await auth.sign_up()
    mails.answers[ADA] = ["451 later"]
    await log_in_elsewhere(auth)
    async with asyncio.timeout(20):
        while [row["attempts"] for row in await outbox(auth)] != [1]:
            await asyncio.sleep(0.01)
    await settled(auth)
    await fetch(auth.database.url, "UPDATE mail_outbox SET attempts = 2, due_time = now() - interval '1 second'")
    await mails.next_to(ADA)
    await emptied(auth)


async def test_a_mail_of_an_account_that_is_suspended_meanwhile_is_dropped(
    servers: Servers, auth_database: TestDatabase, mails: Mailbox
) -> None:
    """R13."""
    async with running_auth(auth_database, auth_config(auth_database, servers.redis.url)) as silent:
        await silent.sign_up()
        await log_in_elsewhere(silent)
        await fetch(auth_database.url, "UPDATE users SET state = 'SUSPENDED'")
        config = silent.config
    async with running_auth(
        auth_database, config.model_copy(update={"smtp_url": _secret(mails.url), "mail_from": FROM})
    ) as auth:
        await emptied(auth)
    assert mails.received == []


async def test_what_waits_is_measured(servers: Servers, auth_database: TestDatabase) -> None:
    async with mailing(servers, auth_database, f"smtp://127.0.0.1:{free_port()}") as auth:
        await auth.sign_up()
        await log_in_elsewhere(auth)
        await fetch(auth_database.url, "UPDATE mail_outbox SET create_time = now() - interval '1 hour'")
        config = auth.config
    async with running_auth(auth_database, config):
        async with asyncio.timeout(20):
            while (REGISTRY.get_sample_value("parley_mail_oldest_seconds") or 0) < 3600:
                await asyncio.sleep(0.01)
        assert REGISTRY.get_sample_value("parley_mails_waiting") == 1
