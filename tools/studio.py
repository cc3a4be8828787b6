"""`db-studio`: a database browser in the terminal, on the running stack."""

import hashlib
import os
import subprocess
import venv
from enum import StrEnum
from typing import Annotated
from urllib.parse import unquote, urlsplit

import typer

from tools.settings import ROOT
from tools.stack import running_stack
from tools.ui import Failure, Refusal, say, step

_HOME = ROOT / ".venv-studio"
_REQUIREMENTS = ROOT / "requirements" / "studio.txt"


class Database(StrEnum):
    """Which of the two databases."""

    AUTH = "auth"
    CHAT = "chat"


def studio(
    database: Annotated[Database, typer.Option(help="Whose database to open.")] = Database.CHAT,
) -> None:
    """Browse a database of the running stack; transactions are read-only."""
    stack = running_stack()
    if stack is None:
        raise Refusal("No stack is running here: start one with `make run`, or set PARLEY_DATA_DIR to its folder.")
    _install()
    url = urlsplit(stack.auth_database_url if database is Database.AUTH else stack.chat_database_url)
    # What libpq takes from the environment does not show in ps.
    environment = os.environ | {
        "PGHOST": url.hostname or "127.0.0.1",
        "PGPORT": str(url.port or 5432),
        "PGUSER": unquote(url.username or ""),
        "PGPASSWORD": unquote(url.password or ""),
        "PGDATABASE": url.path.lstrip("/"),
        "PGOPTIONS": "-c default_transaction_read_only=on",
    }
    say(f"Opening {environment['PGDATABASE']} … Ctrl-Q leaves.")
    harlequin = str(_HOME / "bin" / "harlequin")
    os.execve(harlequin, [harlequin, "--adapter", "postgres"], environment)  # noqa: S606 (it takes over the terminal)


def _install() -> None:
    """Put the browser into an environment of its own, at the first use and when its requirements change."""
    stamp = _HOME / "requirements.sha256"
    wanted = hashlib.sha256(_REQUIREMENTS.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    with step("Install the database browser, once"):
        venv.create(_HOME, with_pip=True)
        (_HOME / ".gitignore").write_text("*\n")
        pip = [str(_HOME / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        command = [*pip, "--require-hashes", "--requirement", str(_REQUIREMENTS)]
        installed = subprocess.run(command, capture_output=True, text=True, check=False)
        if installed.returncode != 0:
            raise Failure(f"The database browser could not be installed: {installed.stderr.strip()}")
        stamp.write_text(wanted)
