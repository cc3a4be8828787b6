"""The stack that a command works with: the one that runs, or one of its own for the duration."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from shared.embedded import scratch_folder
from shared.processes import wait_until
from tools import settings
from tools.folder import DataFolder, Stack
from tools.launch import launched
from tools.settings import Servers
from tools.ui import Refusal

__all__ = ["Stack", "running_stack", "stack"]

_READY_SECONDS = 60.0


def running_stack(data_dir: Path | None = None) -> Stack | None:
    """The stack that runs, and is ready, on this data folder: by default that of the settings."""
    folder = DataFolder(data_dir or settings.read().data_dir)
    found = folder.described() if folder.is_locked() else None
    return found if found is not None and found.ready else None


@contextlib.contextmanager
def stack(*, scratch: bool = False, model: bool = False) -> Iterator[Stack]:
    """The running stack, else one on free ports for the duration; scratch=True starts one on an empty folder always.

    model=True is for what asks a model: one that is started has the local one, where the settings name no other.
    """
    if scratch:
        with scratch_folder() as folder:
            fresh = replace(settings.read(), data_dir=folder, servers=Servers()).with_free_ports()
            with launched(fresh, durable=False, model=model) as launch:
                yield launch.stack
        return
    chosen = settings.read()
    if DataFolder(chosen.data_dir).is_locked():
        yield _await_running(chosen.data_dir)
        return
    with launched(chosen.with_free_ports(), model=model) as launch:
        yield launch.stack


def _await_running(data_dir: Path) -> Stack:
    wait_until(lambda: running_stack(data_dir) is not None, _READY_SECONDS)
    found = running_stack(data_dir)
    if found is None:
        raise Refusal(f"The stack on {data_dir} does not become ready: stop it and try again.")
    return found
