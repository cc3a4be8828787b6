"""How the commands speak: short lines, a spinner for what takes time, one sentence for what went wrong."""

import contextlib
import time
from collections.abc import Iterator

from rich.console import Console

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


class Refusal(Exception):
    """A setting or the state of the machine does not allow the command: one sentence, exit code 2."""


class Failure(Exception):
    """The command could not do its work: what happened, exit code 1."""


def say(sentence: str) -> None:
    """Print one line, however long; nobody may be there any more to read it."""
    with contextlib.suppress(OSError):
        console.print(sentence, soft_wrap=True)


@contextlib.contextmanager
def step(title: str) -> Iterator[None]:
    """Show that a step is going on, then that it is done and how long it took."""
    begin = time.monotonic()
    with console.status(f"{title} …"):
        yield
    console.print(f"[green]✓[/green] {title} [dim]{time.monotonic() - begin:.1f} s[/dim]")
