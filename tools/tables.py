"""Tables as the measuring commands print them, also into a pipe; verdicts and amounts in one form."""

import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

_PIPE_WIDTH = 200
# As wide as the terminal; a pipe has no width, and gets a generous one.
console = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def table(title: str, *columns: str) -> Table:
    """An empty table; its first column is not broken, and one whose name begins with > stands at the right."""
    made = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False)
    for nth, column in enumerate(columns):
        right = column.startswith(">")
        made.add_column(
            column.lstrip(">"), justify="right" if right else "left", overflow="fold", no_wrap=right or nth == 0
        )
    return made


def show(made: Table) -> None:
    """Print a table after an empty line."""
    console.print()
    console.print(made)


def verdict(good: bool, words: str = "") -> Text:  # noqa: FBT001 (the subject)
    """A mark that also speaks without colours."""
    return Text(f"{'✓' if good else '✗'} {words}".rstrip(), style="green" if good else "bold red")


def size(count: float) -> str:
    """An amount of bytes."""
    for unit in ("B", "kB", "MB"):
        if count < 1024:  # noqa: PLR2004
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GB"


def share(part: float, whole: float) -> str:
    """A part in percent; or a hyphen where there is nothing to have a part of."""
    return f"{100 * part / whole:.1f} %" if whole else "-"
