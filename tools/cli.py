"""The commands by name; each is a typed function in a module of its own, registered here with one line."""

import importlib
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from shared.processes import ProcessError
from tools.interrupts import Interrupted
from tools.ui import Failure, Refusal, errors

_COMMANDS = {
    "run": "tools.run.run",
    "gateway": "tools.gateway.gateway",
    "call": "tools.call.call",
    "certificates": "tools.certificates.certificates",
    "demo": "tools.demo.demo",
    "performance-test": "tools.performance.performance",
    "bench": "tools.bench.bench",
    "history-bench": "tools.history.history",
    "enumeration": "tools.enumeration.enumeration",
    "db-verify": "tools.verify.verify",
    "db-studio": "tools.studio.studio",
    "db-reset": "tools.reset.reset",
    "import-users": "tools.import_users.import_users",
    "import-conversations": "tools.conversations.import_conversations",
    "export-conversations": "tools.conversations.export_conversations",
}


class _Commands(TyperGroup):
    """Imports a command when it is asked for: those that measure need much that `run` does not have to wait for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 (click's signature)
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 (likewise)
        if cmd_name not in _COMMANDS:
            return None
        module, _, function = _COMMANDS[cmd_name].rpartition(".")
        alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        alone.command(cmd_name)(getattr(importlib.import_module(module), function))
        return typer.main.get_command(alone)


app = typer.Typer(
    cls=_Commands,
    name="python -m tools",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they would print local variables, secrets among them
)


@app.callback()
def parley() -> None:
    """Run Parley on this machine, look at it and measure it."""


def main() -> None:
    """Run the command of the command line; exit code 2 is a refusal, 1 a failure, 130 an interruption."""
    try:
        app()
    except Refusal as refusal:
        _leave(str(refusal), 2)
    except (Failure, ProcessError) as failure:
        _leave(str(failure), 1)
    except Interrupted:
        sys.exit(130)


def _leave(sentence: str, code: int) -> None:
    errors.print(sentence, markup=False, soft_wrap=True, style="red")
    sys.exit(code)
