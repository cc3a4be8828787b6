"""What the gateway is told: which methods it passes and how, from the protos alone."""

import json
import re
from pathlib import Path

import pytest

from auth_service.rpc.authorization import IDENTITY_HEADERS
from protos.options.v1 import access_pb2
from tests.system.gateways import ECHO_METHODS
from tools import envoy
from tools.envoy import Gateway

GATEWAY = Gateway(
    host="0.0.0.0", port=8080, admin_port=9901, replicas={"auth": ["127.0.0.1:1", "[::1]:2"], "chat": ["chat:3"]}
)


@pytest.fixture
def config(tmp_path: Path) -> str:
    return envoy.configure(GATEWAY, tmp_path, [*envoy.passed(), *ECHO_METHODS]).read_text()


def routes(config: str) -> list[dict]:
    (found,) = re.findall(r"^ +routes: (\[.*\])$", config, re.MULTILINE)
    return json.loads(found)


def test_users_and_administrators_methods_pass_and_services_do_not() -> None:
    passed = {f"{method.containing_service.full_name}/{method.name}" for method in envoy.passed()}
    assert {"auth.v1.AuthService/LogIn", "auth.v1.AuthService/GetJwks", "auth.v1.AccountService/GetProfile"} <= passed
    assert not {"auth.v1.AuthService/VerifyToken", "auth.v1.AuthService/WatchRevocations"} & passed
    access = {
        method.GetOptions().Extensions[access_pb2.access] for method in envoy.passed() if method.containing_service
    }
    assert access <= {access_pb2.ACCESS_PUBLIC, access_pb2.ACCESS_USER, access_pb2.ACCESS_ADMIN}
    everything = [method for service in envoy.services() for method in service.methods]
    assert len(passed) < len(everything)


def test_only_methods_that_are_public_pass_without_a_check(config: str) -> None:
    public = {
        envoy.path_of(method)
        for method in [*envoy.passed(), *ECHO_METHODS]
        if method.GetOptions().Extensions[access_pb2.access] == access_pb2.ACCESS_PUBLIC
    }
    unchecked = {
        route["match"].get("path")
        for route in routes(config)
        if route["typed_per_filter_config"].get("envoy.filters.http.ext_authz", {}).get("disabled")
    }
    assert unchecked == public | {None}
    (without_path,) = [route for route in routes(config) if "path" not in route["match"]]
    assert without_path["direct_response"]["status"] == 404


def test_a_stream_has_no_end_but_its_callers_and_a_unary_call_has(config: str) -> None:
    streams = {
        envoy.path_of(method): method.client_streaming or method.server_streaming
        for method in [*envoy.passed(), *ECHO_METHODS]
    }
    assert set(streams.values()) == {True, False}
    for route in routes(config)[:-1]:
        duration = route["route"]["max_stream_duration"]
        if streams[route["match"]["path"]]:
            assert duration == {"grpc_timeout_header_max": "0s"}
        else:
            assert duration == {"max_stream_duration": "30s", "grpc_timeout_header_max": "30s"}


def test_only_what_reads_is_sent_twice(config: str) -> None:
    """R60."""
    again = {
        route["match"]["path"].rpartition("/")[2] for route in routes(config)[:-1] if "retry_policy" in route["route"]
    }
    assert {"GetProfile", "ListMessages"} <= again
    assert [name for name in again if not re.match("Get|List|BatchGet|Search|Diff", name)] == []
    assert "retry_on: connect-failure,refused-stream,reset-before-request\n" in config


def test_a_caller_can_send_none_of_the_headers_that_auth_sets(config: str) -> None:
    """R43."""
    removed = re.findall(r"- remove: (\S+)", config)
    assert set(IDENTITY_HEADERS) | {"x-forwarded-for", "x-real-ip", "forwarded"} == set(removed)


def test_envoys_own_pages_stay_on_loopback(config: str) -> None:
    (address,) = re.findall(r"^admin:\n  address: .*address: ([^,]+), port_value: (\d+)", config, re.MULTILINE)
    assert address == ("127.0.0.1", "9901")
    assert 'address: "0.0.0.0", port_value: 8080' in config


def test_a_service_key_goes_to_auth_alone_and_into_no_file_of_others(tmp_path: Path) -> None:
    told = Gateway(host="::1", port=1, admin_port=2, replicas=GATEWAY.replicas, service_key="parley_sk_x")
    config = envoy.configure(told, tmp_path, envoy.passed())
    assert config.stat().st_mode & 0o077 == 0
    assert config.read_text().count("parley_sk_x") == 1
    assert '[{"key": "authorization", "value": "Bearer parley_sk_x"}]' in config.read_text()
    assert "parley_sk_x" not in repr(told)


def test_the_descriptors_know_no_other_method(tmp_path: Path) -> None:
    envoy.configure(GATEWAY, tmp_path, envoy.passed())
    descriptors = (tmp_path / "descriptors.binpb").read_bytes()
    assert b"GetProfileRequest" in descriptors
    assert b"\x0a\x0bVerifyToken\x12" not in descriptors
