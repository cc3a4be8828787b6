"""`db-reset`: empty databases again."""

from typing import Annotated

import typer

from shared.embedded import LocalPostgres, bootstrap, drop_databases
from tools import interrupts, settings
from tools.folder import DataFolder
from tools.ui import Refusal, say, step


def reset(*, yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False) -> None:
    """Drop the local databases with all they hold, and make them anew."""
    chosen = settings.read()
    if chosen.servers.databases is not None:
        raise Refusal("AUTH_DATABASE_URL and CHAT_DATABASE_URL are set: db-reset only drops the local databases.")
    folder = DataFolder(chosen.data_dir)
    if not yes and not typer.confirm(f"Drop all accounts and conversations in {folder.path}?"):
        raise Refusal("Nothing was dropped.")
    with interrupts.raising(), folder.locked():
        postgres = LocalPostgres(folder.path / "postgres", folder.port("postgres"))
        try:
            with step("Drop the databases and make them anew"):
                postgres.start()
                drop_databases(postgres.superuser_url())
                bootstrap(postgres.superuser_url(), folder.role_passwords())
        finally:
            with interrupts.ignored():
                postgres.stop()
    say("The next start will migrate them: make run")
