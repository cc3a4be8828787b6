"""The catcher keeps mails for `run` to print and `demo` to read, and delivers none."""

import smtplib
import stat
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from shared.embedded import free_port
from tools import catcher
from tools.catcher import Catcher, CaughtMail, MailFolder


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    running = Catcher(tmp_path / "mails", port := free_port())
    running.start()
    try:
        yield port
    finally:
        running.stop()


def send(port: int, subject: str, text: str = "The code is K7QF-2M9X.\n") -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "no-reply@parley.test", "ada@example.com", subject
    message.set_content(text)
    message.add_alternative(f"<p>{text}</p>", subtype="html")
    with smtplib.SMTP("127.0.0.1", port) as client:
        client.send_message(message)


def test_a_mail_is_kept_for_its_owner_alone_and_told_once(port: int, tmp_path: Path) -> None:
    folder = MailFolder(tmp_path / "mails")
    assert list(folder.new()) == []
    send(port, "Grüße")
    assert list(folder.new()) == [CaughtMail(to="ada@example.com", subject="Grüße", text="The code is K7QF-2M9X.\n")]
    assert list(folder.new()) == []
    [file] = (tmp_path / "mails").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_only_the_last_mails_are_kept(port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catcher, "_KEPT", 3)
    before = MailFolder(tmp_path / "mails")
    for number in range(5):
        send(port, str(number))
    assert [mail.subject for mail in before.new()] == ["2", "3", "4"]


def test_a_folder_that_is_not_there_has_no_mails(tmp_path: Path) -> None:
    assert list(MailFolder(tmp_path / "nowhere").new()) == []


def test_a_catcher_that_never_started_can_be_stopped(tmp_path: Path) -> None:
    Catcher(tmp_path / "mails", free_port()).stop()
