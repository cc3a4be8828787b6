"""A mail server that delivers nothing: it keeps what it is given in a folder, for `run` to print and `demo` to read."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Final, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from shared.processes import write_private

_KEPT: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class CaughtMail:
    """A mail as its reader sees it."""

    to: str
    subject: str
    text: str

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read a file that the catcher has written."""
        message = message_from_bytes(file.read_bytes(), EmailMessage, policy=policy.default)
        body = message.get_body(("plain",))
        text = str(body.get_content()) if body else ""
        return cls(to=message["To"], subject=message["Subject"], text=text.replace("\r\n", "\n"))


class Catcher:
    """Listens on a port of this machine, in a thread of its own."""

    def __init__(self, folder: Path, port: int) -> None:
        """Keep the last mails in a folder."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.url = f"smtp://127.0.0.1:{port}?tls=none"
        self._controller = Controller(_Keep(folder), hostname="127.0.0.1", port=port)

    def start(self) -> None:
        """Listen; returns when it does."""
        self._controller.start()

    def stop(self) -> None:
        """Listen no more."""
        self._controller.stop(no_assert=True)


class MailFolder:
    """The mails that came since this was made, or since it was last asked."""

    def __init__(self, folder: Path) -> None:
        """Begin after the mails that are there already."""
        self._folder = folder
        self._seen = {file.name for file in _files(folder)}

    def new(self) -> Iterator[CaughtMail]:
        """The mails that are new, in the order in which they came."""
        for file in _files(self._folder):
            if file.name not in self._seen:
                self._seen.add(file.name)
                yield CaughtMail.read(file)


class _Keep:
    """Writes each mail to a file, and removes the oldest ones."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = (envelope.original_content or b"").decode(errors="replace")
        write_private(self._folder / f"{time.time_ns():020}.eml", content)
        for file in _files(self._folder)[:-_KEPT]:
            file.unlink(missing_ok=True)
        return "250 OK"


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.eml"))
