"""Signals that end a command: the first raises an exception, and while a stack is being stopped none disturbs."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_told = threading.Event()


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, SIGTERM, or the terminal went away."""


@contextlib.contextmanager
def raising() -> Iterator[None]:
    """Turn the first ending signal into Interrupted, and ignore the others."""

    def interrupt(_: int, __: FrameType | None) -> None:
        for number in _ENDING:
            signal.signal(number, signal.SIG_IGN)
        _told.set()
        raise Interrupted

    _told.clear()
    with _handling(interrupt):
        yield


def check() -> None:
    """Raise Interrupted once more, for one that was raised in a destructor or a callback reaches nobody."""
    if _told.is_set():
        raise Interrupted


@contextlib.contextmanager
def ignored() -> Iterator[None]:
    """Let what has to be finished be finished; what is done inside must be bounded in time."""
    with _handling(signal.SIG_IGN):
        yield


@contextlib.contextmanager
def _handling(handler: signal.Handlers | Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # nohup lets a command outlive its terminal by having it ignore SIGHUP: leave that.
    numbers = [number for number in _ENDING if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)
