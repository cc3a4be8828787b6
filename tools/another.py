"""One more process of chat beside a stack that runs, for what has to be shown on two."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from shared.embedded import free_port
from shared.processes import Child, rotate, wait_until
from tools import certificates, channels
from tools.folder import DataFolder, Stack
from tools.launch import SECRETS, stopped
from tools.provider import environment
from tools.settings import ROOT
from tools.ui import Failure

_START_SECONDS: Final = 30.0
_GRACE_SECONDS: Final = 20.0


@contextlib.contextmanager
def another_chat(stack: Stack, folder: DataFolder) -> Iterator[str]:
    """Start it, and yield its target when it serves; end it at the end."""
    port = free_port()
    log = folder.logs / "chat-another.log"
    rotate(log)
    child = Child(
        [sys.executable, "-m", "chat_service", "serve"],
        log=log,
        environment=_environment(stack, folder, port),
        folder=ROOT,
    )
    try:
        target = f"127.0.0.1:{port}"
        serves = partial(channels.healthy, target, stack.tls_dir, "chat")
        in_time = wait_until(lambda: not child.running or serves(), _START_SECONDS)
        if not child.running:
            raise stopped("Another process of chat", child)
        if not in_time:
            raise Failure(f"Another process of chat does not become healthy. Its last lines:{child.last_lines()}")
        yield target
    finally:
        child.end((signal.SIGTERM, _GRACE_SECONDS))


def _environment(stack: Stack, folder: DataFolder, port: int) -> dict[str, str]:
    """What the first process was told, on ports of its own."""
    told = {key: value for key, value in os.environ.items() if key not in SECRETS}
    if stack.tls_dir is not None:
        told |= certificates.settings(Path(stack.tls_dir))
    return told | {
        "CHAT_HOST": "127.0.0.1",
        "CHAT_PORT": str(port),
        "CHAT_OPS_PORT": str(free_port()),
        "CHAT_AUTH_TARGET": stack.auth_target,
        "CHAT_DATABASE_URL": stack.chat_database_url,
        "REDIS_URL": stack.redis_url,
        "CHAT_SERVICE_KEY": os.environ.get("CHAT_SERVICE_KEY") or stack.service_key,
        "CHAT_MASTER_KEY": os.environ.get("CHAT_MASTER_KEY") or folder.master_key("chat-key"),
        **environment(stack.model, stack.model_url, folder),
    }
