"""The log: JSON a line, whoever writes it."""

import json
import subprocess
import sys

from tests.servers import ROOT

SETUP = """
import asyncio, logging, structlog, warnings
from shared import calls, log
log.configure({level!r}, json={json})
"""


def written(script: str, *, level: str = "INFO", as_json: bool = True) -> list[str]:
    """What a script's process writes: logging is set up once for a process."""
    text = SETUP.format(level=level, json=as_json) + script
    done = subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_an_event_is_a_line_of_json_with_its_call_level_and_time() -> None:
    script = """
calls.current.set(calls.Call(method="/a/B", request_id="r-1"))
structlog.get_logger().warning("some event", number=1, text='line\\nbreak "quote"', odd={1, 2})
"""
    [line] = written(script)
    event = json.loads(line)
    assert event["timestamp"].endswith("Z")
    assert (event["event"], event["level"], event["request_id"]) == ("some event", "warning", "r-1")
    assert (event["number"], event["text"]) == (1, 'line\nbreak "quote"')


def test_an_event_outside_of_a_call_has_no_request_id() -> None:
    [line] = written('structlog.get_logger().info("starting")')
    assert "request_id" not in json.loads(line)


def test_less_than_the_level_is_not_written() -> None:
    script = 'log = structlog.get_logger(); log.debug("a"); log.info("b"); log.warning("c"); log.error("d")'
    assert [json.loads(line)["event"] for line in written(script, level="WARNING")] == ["c", "d"]
    assert len(written(script, level="DEBUG")) == 4


def test_a_trace_is_one_line_too() -> None:
    script = """
try:
    1 / 0
except ZeroDivisionError:
    structlog.get_logger().exception("accident")
"""
    [line] = written(script)
    assert "ZeroDivisionError: division by zero" in json.loads(line)["exception"]


def test_what_a_library_logs_is_json_as_well() -> None:
    """R47: no line of another form, and none that begins where a caller chose."""
    script = """
logging.getLogger("asyncpg.pool").info("not this")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("asyncpg.pool").warning("cannot %s", "connect\\nforged", exc_info=True)
"""
    [line] = written(script)
    event = json.loads(line)
    assert (event["event"], event["logger"], event["level"]) == ("cannot connect\nforged", "asyncpg.pool", "warning")
    assert "ZeroDivisionError" in event["exception"]


def test_for_people_an_event_is_a_line_of_text() -> None:
    [line] = written('structlog.get_logger().info("serving", port=50051)', as_json=False)
    assert "serving" in line
    assert "50051" in line
    assert not line.startswith("{")
