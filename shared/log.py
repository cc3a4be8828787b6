"""Structured logs: one JSON object a line on standard error, with the id of the request that it belongs to."""

import logging
import sys

import orjson
import structlog
from structlog.typing import EventDict, WrappedLogger

from shared import calls


def configure(level: str, *, json: bool) -> None:
    """Set up logging once for the process; json=False renders for people."""
    renderer = (
        structlog.processors.JSONRenderer(serializer=_dumps)
        if json
        else structlog.dev.ConsoleRenderer(
            exception_formatter=structlog.dev.plain_traceback  # the other formatters show local variables: passwords
        )
    )
    # What orjson makes are bytes: through a stream of text every line would be decoded and encoded again.
    made = structlog.BytesLoggerFactory(sys.stderr.buffer) if json else structlog.WriteLoggerFactory(sys.stderr)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            _add_request_id,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=made,
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_Forward()], force=True)


class _Forward(logging.Handler):
    """What a library logs goes the same way, so that no line is of another form."""

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a record over."""
        structlog.get_logger().log(
            record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info or None
        )


def _add_request_id(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    call = calls.current.get()
    if call is not None:
        event.setdefault("request_id", call.request_id)
    return event


def _dumps(event: EventDict, **_: object) -> bytes:
    return orjson.dumps(event, default=str)
