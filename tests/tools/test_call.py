"""`call`, as a command, against a small server with reflection."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from grpc_status import rpc_status

from tests.tools.test_folder import STACK
from tools.folder import DataFolder


class Health(health.HealthServicer):
    """Answers with the caller's metadata for "who", and refuses "limited" with every detail there is."""

    def Check(self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext):  # noqa: N802
        if request.service == "who":
            sent = dict(context.invocation_metadata())
            context.abort(grpc.StatusCode.UNAUTHENTICATED, f"{sent['authorization']} {sent['x-request-id']}")
        if request.service == "limited":
            status = status_pb2.Status(code=code_pb2.RESOURCE_EXHAUSTED, message="Too many calls.")
            info = error_details_pb2.ErrorInfo(domain="auth.parley", reason="RATE_LIMITED", metadata={"limit": "5"})
            status.details.add().Pack(info)
            status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=Duration(seconds=1, nanos=500_000_000)))
            violations = [{"field": name, "description": f"{name} is wrong"} for name in ("email", "password")]
            status.details.add().Pack(error_details_pb2.BadRequest(field_violations=violations))
            context.abort_with_status(rpc_status.to_status(status))
        return super().Check(request, context)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    server = grpc.server(ThreadPoolExecutor(4))
    servicer = Health()
    servicer.set("auth.v1.AuthService", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    reflection.enable_server_reflection(("grpc.health.v1.Health", reflection.SERVICE_NAME), server)
    target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    folder = DataFolder(tmp_path_factory.mktemp("stack"))
    with folder.locked():
        folder.describe(replace(STACK, auth_target=target, chat_target=target))
        yield folder.path
    server.stop(None)


def call(data_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PARLEY_DATA_DIR": str(data_dir), "COLUMNS": "200"}
    command = [sys.executable, "-m", "tools", "call", *arguments]
    return subprocess.run(command, capture_output=True, check=False, text=True, env=environment, timeout=60)


@pytest.mark.parametrize(
    "name", ["grpc.health.v1.Health/Check", "Health/Check", "Check", "check", "grpc.health.v1.Health.Check"]
)
def test_a_method_is_found_by_its_full_or_short_name(data_dir: Path, name: str) -> None:
    done = call(data_dir, name, '{"service": "auth.v1.AuthService"}')
    assert (done.returncode, json.loads(done.stdout)) == (0, {"status": "SERVING"})


def test_an_unknown_method_is_refused_with_the_ones_there_are(data_dir: Path) -> None:
    done = call(data_dir, "LogInn")
    assert done.returncode == 2
    assert "There is no method LogInn. There are: Check" in done.stderr


def test_a_failure_shows_status_reason_fields_and_the_time_to_wait(data_dir: Path) -> None:
    done = call(data_dir, "Check", '{"service": "limited"}')
    assert done.returncode == 1
    assert done.stdout == ""
    for part in (
        "RESOURCE_EXHAUSTED: Too many calls.",
        "reason: RATE_LIMITED (auth.parley) limit=5",
        "email: email is wrong",
        "password: password is wrong",
        "try again in 1.5 s",
    ):
        assert part in done.stderr


def test_token_and_headers_travel_as_metadata(data_dir: Path) -> None:
    done = call(data_dir, "Check", '{"service": "who"}', "--token", "abc", "-H", "X-Request-Id: 42:43")
    assert "UNAUTHENTICATED: Bearer abc 42:43" in done.stderr


@pytest.mark.parametrize("request_text", ["{", '{"servise": "x"}', "7", "[7]"])
def test_a_request_that_does_not_fit_is_refused_by_the_name_of_its_type(data_dir: Path, request_text: str) -> None:
    done = call(data_dir, "Check", request_text)
    assert done.returncode == 2
    assert "not a grpc.health.v1.HealthCheckRequest in JSON" in done.stderr


def test_a_header_without_a_colon_is_refused(data_dir: Path) -> None:
    done = call(data_dir, "Check", "-H", "authorization")
    assert done.returncode == 2
    assert "write it as 'key: value'" in done.stderr


def test_without_a_stack_it_says_how_to_start_one(tmp_path: Path) -> None:
    done = call(tmp_path, "Check")
    assert done.returncode == 2
    assert "make run" in done.stderr
