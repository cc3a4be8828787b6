"""`gateway`: Envoy before both services, before the stack that runs or before one of its own with several replicas."""

import contextlib
import os
import re
import sys
import time
from collections.abc import Iterator
from typing import Annotated

import typer

from shared.processes import rotate
from shared.service_keys import PREFIX
from tools import envoy, examples, interrupts, settings
from tools.envoy import Gateway
from tools.folder import DataFolder
from tools.interrupts import Interrupted
from tools.launch import Launch, launched
from tools.run import stay
from tools.settings import Settings
from tools.stack import running_stack
from tools.ui import Refusal, say, step

# What a gateway on this machine says of a caller's address is believed.
_LOOPBACK = "127.0.0.1/32,::1/128"


def gateway(
    *,
    replicas: Annotated[int, typer.Option(min=1, max=8, help="Of each service, where a stack has to be started.")] = 2,
) -> None:
    """Start Envoy before both services, and stay until Ctrl-C."""
    begin = time.monotonic()
    for name in ("AUTH_TRUSTED_PROXIES", "CHAT_TRUSTED_PROXIES"):
        os.environ.setdefault(name, _LOOPBACK)
    if sys.stdout.isatty():
        os.environ.setdefault("LOG_FORMAT", "console")
    chosen = settings.read()
    try:
        with interrupts.raising(), contextlib.ExitStack() as held:
            folder = held.enter_context(_prepared(chosen))
            launch = held.enter_context(_own(chosen, replicas))
            told = _gateway(chosen, launch)
            with step("Envoy"):
                config = envoy.configure(told, folder.path, envoy.passed())
                child = held.enter_context(envoy.running(told, config, folder.logs / "envoy.log"))
            calls = examples.through_gateway(settings.gateway())
            stay(calls, time.monotonic() - begin, launch, {"gateway": child})
    except Interrupted:
        say("Stopped.")


@contextlib.contextmanager
def _prepared(chosen: Settings) -> Iterator[DataFolder]:
    """The gateway's own folder in that of the stack, with nobody on its ports."""
    DataFolder(chosen.data_dir).make()
    folder = DataFolder(chosen.data_dir / "gateway")
    with folder.locked():
        if envoy.end_left_behind(folder.path):
            say("  Ended an Envoy that an interrupted gateway had left behind")
        settings.require_free({"gateway": settings.gateway()})
        rotate(folder.logs / "envoy.log")
        yield folder


@contextlib.contextmanager
def _own(chosen: Settings, replicas: int) -> Iterator[Launch | None]:
    """A stack of our own; None where one runs on the data folder already, which is used as it is."""
    if DataFolder(chosen.data_dir).is_locked():
        say("  Before the stack that runs already, with the replicas that it has")
        yield None
        return
    with launched(chosen, replicas=replicas, model=True) as launch:
        yield launch


def _gateway(chosen: Settings, launch: Launch | None) -> Gateway:
    stack = launch.stack if launch else running_stack(chosen.data_dir)
    if stack is None:
        raise Refusal(f"The stack on {chosen.data_dir} is not ready: try again in a moment.")
    listener = settings.gateway()
    origins = [re.escape(origin) for origin in os.environ.get("GATEWAY_ORIGINS", "").split(",") if origin]
    key = DataFolder(chosen.data_dir).master_key("service-key")
    return Gateway(
        host=listener.host,
        port=listener.port,
        admin_port=listener.ops_port,
        replicas={
            "auth": launch.targets("auth") if launch else [stack.auth_target],
            "chat": launch.targets("chat") if launch else [stack.chat_target],
        },
        origins=origins or [envoy.LOCAL_ORIGINS],
        service_key=f"{PREFIX}{key}",
        tls_dir=stack.tls_dir,
    )
