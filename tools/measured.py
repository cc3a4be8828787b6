"""Servers in processes of their own, for as long as `bench` measures them."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from tools.settings import ROOT
from tools.ui import Failure

_STOP_SECONDS: Final = 20.0


@contextmanager
def measured(module: str, *arguments: str, environment: Mapping[str, str] = os.environ) -> Iterator[tuple[int, int]]:
    """Start a module that prints its port and ends with its input; yields the port and the process id."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        port = process.stdout.readline() if process.stdout else ""
        if not port:
            raise Failure(f"{module} does not start.")
        yield int(port), process.pid
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
