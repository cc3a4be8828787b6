"""The way to the mail server: whom we talk to, and that no password and no code travels in the clear (R54)."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from auth_service.mail import smtp
from auth_service.mail.composer import MailFrom
from auth_service.mail.smtp import MailDelayed, MailRefused, SmtpServer, Tls
from shared.embedded import free_port
from tests.mailtest import Mailbox, mailbox

ADA = "ada@example.com"


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A certificate for localhost that this process trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "localhost.pem"
    pem.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(pem)
    return made


def message() -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "no-reply@parley.test", ADA, "A code"
    made.set_content("12345678")
    return made


async def deliver(url: str, by_default: Tls = Tls.OFFERED, to: str = ADA) -> None:
    await smtp.send(SmtpServer.parse(url, by_default), message(), "no-reply@parley.test", to, 10)


@contextmanager
def at_localhost(**settings: object) -> Iterator[tuple[Mailbox, str]]:
    with mailbox(**settings) as running:  # type: ignore[arg-type]
        yield running, f"localhost:{running.port}"


async def test_starttls_is_used_where_it_is_offered(context: ssl.SSLContext) -> None:
    with at_localhost(tls=context) as (box, place):
        await deliver(f"smtp://{place}")
        assert [mail.encrypted for mail in box.received] == [True]


async def test_where_tls_is_required_nothing_is_told_to_a_server_without_it() -> None:
    with at_localhost() as (box, place):
        with pytest.raises(MailDelayed):
            await deliver(f"smtp://{place}", Tls.REQUIRED)
        with pytest.raises(MailDelayed):
            await deliver(f"smtp://{place}?tls=required")
        with pytest.raises(MailDelayed):
            await deliver(f"smtp://parley:secret@{place}")
        assert box.received == []
        await deliver(f"smtp://{place}?tls=none", Tls.REQUIRED)
        assert [mail.encrypted for mail in box.received] == [False]


async def test_a_certificate_that_nobody_vouches_for_is_refused(
    context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with at_localhost(tls=context) as (box, place):
        with pytest.raises(MailDelayed):
            await deliver(f"smtp://{place}?tls=required")
        assert box.received == []


async def test_a_certificate_of_another_name_is_refused(context: ssl.SSLContext) -> None:
    with at_localhost(tls=context) as (box, place):
        with pytest.raises(MailDelayed):
            await deliver(f"smtp://{place.replace('localhost', '127.0.0.1')}?tls=required")
        assert box.received == []


async def test_implicit_tls_with_a_password(context: ssl.SSLContext) -> None:
    with at_localhost(tls=context, implicit=True, password="of the mail") as (box, place):
        await deliver(f"smtps://parley:of%20the%20mail@{place}")
        assert [mail.encrypted for mail in box.received] == [True]
        with pytest.raises(MailDelayed, match="SMTPAuthenticationError 535"):
            await deliver(f"smtps://parley:another@{place}")


async def test_starttls_with_a_password(context: ssl.SSLContext) -> None:
    with at_localhost(tls=context, password="secret") as (box, place):
        await deliver(f"smtp://parley:secret@{place}")
        assert len(box.received) == 1


@pytest.mark.parametrize(
    ("answer", "failure", "told"),
    [
        ("550 5.1.1 no such user ada@example.com", MailRefused, "550 5.1.1"),
        ("553 no", MailRefused, "553"),
        ("450 4.2.1 the mailbox of ada@example.com is busy", MailDelayed, "450 4.2.1"),
        ("421 4.7.0 go away", MailDelayed, "421 4.7.0"),
    ],
)
async def test_what_a_server_says_of_a_recipient_is_told_by_its_code_alone(
    answer: str, failure: type[Exception], told: str
) -> None:
    with at_localhost() as (box, place):
        box.answers[ADA] = [answer]
        with pytest.raises(failure) as caught:
            await deliver(f"smtp://{place}")
        assert str(caught.value) == told


async def test_a_server_that_does_not_listen_is_a_delay() -> None:
    with pytest.raises(MailDelayed, match="SMTPConnectError"):
        await deliver(f"smtp://127.0.0.1:{free_port()}")


@pytest.mark.parametrize(
    ("url", "port", "tls"),
    [
        ("smtp://mail.example.com", 587, Tls.OFFERED),
        ("smtp://mail.example.com:25", 25, Tls.OFFERED),
        ("smtp://u:p@mail.example.com", 587, Tls.REQUIRED),
        ("smtp://u:p@mail.example.com?tls=none", 587, Tls.NONE),
        ("smtps://mail.example.com", 465, Tls.IMPLICIT),
        ("smtps://u:p@mail.example.com:4650", 4650, Tls.IMPLICIT),
    ],
)
def test_a_url_says_where_and_how(url: str, port: int, tls: Tls) -> None:
    server = SmtpServer.parse(url, Tls.OFFERED)
    assert (server.host, server.port, server.tls) == ("mail.example.com", port, tls)
    assert "password" not in repr(server)


@pytest.mark.parametrize(
    "url", ["", "mail.example.com", "http://mail.example.com", "smtp://", "smtp://m:x", "smtp://m?tls=maybe"]
)
def test_what_is_no_url_of_a_mail_server_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="must"):
        SmtpServer.parse(url, Tls.OFFERED)


@pytest.mark.parametrize("text", ["", "Parley", "Parley <>", "a@b, c@d.example", "a@b.example\r\nBcc: c@d.example"])
def test_what_is_no_address_to_be_from_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be an address"):
        MailFrom.parse(text)
