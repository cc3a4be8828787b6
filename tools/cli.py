"""The commands by name; each is a typed function in a module of its own, registered here with one line."""

import sys

import typer

from shared.processes import ProcessError
from tools import bench, call, demo, performance, reset, run, studio, verify
from tools.interrupts import Interrupted
from tools.ui import Failure, Refusal, errors

app = typer.Typer(
    name="python -m tools",
    help="Run Parley on this machine, look at it and measure it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they would print local variables, secrets among them
)
app.command("run")(run.run)
app.command("call")(call.call)
app.command("demo")(demo.demo)
app.command("performance-test")(performance.performance)
app.command("bench")(bench.bench)
app.command("db-verify")(verify.verify)
app.command("db-studio")(studio.studio)
app.command("db-reset")(reset.reset)


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
