"""Envoy before both services: what it is told, and its process.

Addresses, routes and descriptors are filled into `deploy/envoy/envoy.yaml`. The routes are those of the RPCs that the
protos open to callers outside: one exact path each, so that any other path, however it is written, leads nowhere.
"""

import contextlib
import http.client
import importlib
import json
import pkgutil
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any, Final, TypeAlias

from google.protobuf.descriptor import FileDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.rpc import code_pb2, error_details_pb2

import protos
from shared.grpc.access import MethodRule, path_of
from shared.processes import Child, end_leftover, wait_until, write_private
from tools.certificates import CA, CERTIFICATE, KEY
from tools.settings import ROOT
from tools.ui import Failure, Refusal

TEMPLATE: Final = ROOT / "deploy" / "envoy" / "envoy.yaml"
LOCAL_ORIGINS: Final = r"https?://(localhost|127\.0\.0\.1)(:\d+)?"
UNARY_SECONDS: Final = 30
_STREAM_IDLE_SECONDS: Final = 3600
_READY_SECONDS: Final = 30.0
_GRACE_SECONDS: Final = 5.0
_PROBE_SECONDS: Final = 1.0
_PROMPT_LOG: Final = ("--file-flush-interval-msec", "500")
_PID_FILE: Final = "envoy.pid"
_Route: TypeAlias = dict[str, Any]
_FILTERS: Final = "type.googleapis.com/envoy.extensions.filters.http"
_TRANSPORTS: Final = "type.googleapis.com/envoy.extensions.transport_sockets"
_CEL: Final = "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter"
_OWN_REPLY: Final = (
    "response.code == {status} && response.code_details != 'ext_authz_denied' && "
    "('x-envoy-original-path' in request.headers || "
    "!('content-type' in request.headers && request.headers['content-type'].startsWith('application/grpc')))"
)
# What Envoy answers by itself, by its HTTP status.
_LOCAL_REPLIES: Final = {
    400: (code_pb2.INVALID_ARGUMENT, "The request is not one that can be passed on."),
    404: (code_pb2.UNIMPLEMENTED, "There is no such method."),
    413: (code_pb2.RESOURCE_EXHAUSTED, "The request is too large."),
    503: (code_pb2.UNAVAILABLE, "The service cannot be reached: try again."),
    504: (code_pb2.DEADLINE_EXCEEDED, "The call's deadline passed; a change may or may not have been made."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """Where Envoy listens, and the replicas of each service as host:port.

    `origins` are regular expressions of those of pages that may call; the service key is for an auth that protects
    introspection, the folder with certificates for services that speak TLS.
    """

    host: str
    port: int
    admin_port: int
    replicas: Mapping[str, Sequence[str]]
    origins: Sequence[str] = (LOCAL_ORIGINS,)
    service_key: str = field(default="", repr=False)
    tls_dir: str | None = None


def services() -> list[ServiceDescriptor]:
    """Every service of the protos."""
    names = sorted(module.name for module in pkgutil.walk_packages(protos.__path__, "protos."))
    modules = [importlib.import_module(name) for name in names if name.endswith("_service_pb2")]
    return [service for module in modules for service in module.DESCRIPTOR.services_by_name.values()]


def passed() -> list[MethodDescriptor]:
    """The RPCs that callers from outside may reach."""
    methods = (method for service in services() for method in service.methods)
    return [method for method in methods if not MethodRule.of(method).internal]


def configure(gateway: Gateway, folder: Path, methods: Sequence[MethodDescriptor]) -> Path:
    """Write the configuration that passes these methods, and beside it the descriptors that it names; its path."""
    descriptors, config = folder / "descriptors.binpb", folder / "envoy.yaml"
    descriptors.write_bytes(_descriptors(methods).SerializeToString())
    values = {
        "host": gateway.host,
        "port": gateway.port,
        "admin_port": gateway.admin_port,
        "descriptors": str(descriptors),
        "local_replies": list(_local_replies()),
        "origins": [{"safe_regex": {"regex": origin}} for origin in gateway.origins],
        "check_metadata": [{"key": "authorization", "value": f"Bearer {gateway.service_key}"}]
        if gateway.service_key
        else [],
        "transport": _transport(gateway),
        "services": sorted({method.containing_service.full_name for method in methods}),
        "routes": [route for method in methods for route in _routes(method)] + [_NO_ROUTE],
        **{name: list(map(_endpoint, targets)) for name, targets in gateway.replicas.items()},
    }
    filled = {name: json.dumps(value) for name, value in values.items()}
    write_private(config, Template(TEMPLATE.read_text()).substitute(filled))
    return config


@contextlib.contextmanager
def running(gateway: Gateway, config: Path, log: Path) -> Iterator[Child]:
    """Envoy for as long as the context lasts; it is entered when each service has a healthy replica."""
    program = Path(sys.executable).parent / "envoy"
    if not program.exists():
        raise Refusal("Envoy is not in this environment: `make gateway` installs it.")
    options = ("--disable-hot-restart", "--concurrency", "2", "--log-level", "warning", *_PROMPT_LOG)
    child = Child([str(program), "--config-path", str(config), *options], log=log, environment={})
    write_private(config.with_name(_PID_FILE), str(child.pid))
    try:
        _await_ready(gateway, child)
        yield child
    finally:
        child.end((signal.SIGTERM, _GRACE_SECONDS))
        config.with_name(_PID_FILE).unlink()


def end_left_behind(folder: Path) -> bool:
    """End the Envoy of a command that was killed; whether there was one."""
    pid = folder / _PID_FILE
    return pid.exists() and end_leftover(int(pid.read_text()), "envoy", str(folder))


def _await_ready(gateway: Gateway, child: Child) -> None:
    in_time = wait_until(lambda: not child.running or _ready(gateway), _READY_SECONDS)
    lines = f"Its last lines, from {child.log}:{child.last_lines()}"
    if not child.running:
        raise Failure(f"Envoy stopped (exit code {child.exit_code}). {lines}")
    if not in_time:
        raise Failure(f"Envoy finds no healthy replica of a service. {lines}")


def _ready(gateway: Gateway) -> bool:
    with contextlib.closing(http.client.HTTPConnection(gateway.host, gateway.port, timeout=_PROBE_SECONDS)) as probe:
        try:
            probe.request("GET", "/healthz")
            return probe.getresponse().status == http.HTTPStatus.OK
        except OSError:
            return False


def _routes(method: MethodDescriptor) -> Iterator[dict[str, object]]:
    """The exact path of a method; what is unary and not gRPC is held until it is whole."""
    streams = method.client_streaming or method.server_streaming
    filters = dict(_WITHOUT_TOKEN) if MethodRule.of(method).public else _asking_for(_service_of(method))
    route = _streaming(method) if streams else _unary(method)
    if method.name.startswith(_READS):
        route["route"] |= {"retry_policy": _READ_AGAIN}
    yield {"match": {"path": path_of(method), "grpc": {}}, **route, "typed_per_filter_config": filters | _UNBUFFERED}
    if streams:
        filters |= _UNBUFFERED
    yield {"match": {"path": path_of(method)}, **route, "typed_per_filter_config": filters}


def _streaming(method: MethodDescriptor) -> _Route:
    """A stream may last, as long as something is said now and then; only its caller sets an end."""
    duration = {"grpc_timeout_header_max": "0s"}
    return {"route": {**_target(method), "max_stream_duration": duration, "idle_timeout": f"{_STREAM_IDLE_SECONDS}s"}}


def _unary(method: MethodDescriptor) -> _Route:
    """What is unary ends in time, and the service is told the time, whether its caller has set one or not."""
    limit = f"{UNARY_SECONDS}s"
    duration = {"max_stream_duration": limit, "grpc_timeout_header_max": limit}
    deadline = {"key": "grpc-timeout", "value": f"{UNARY_SECONDS}S"}
    return {
        "route": {**_target(method), "max_stream_duration": duration},
        "request_headers_to_add": [{"header": deadline, "append_action": "ADD_IF_ABSENT"}],
    }


def _target(method: MethodDescriptor) -> dict[str, object]:
    return {"cluster": _service_of(method), "timeout": "0s"}


def _service_of(method: MethodDescriptor) -> str:
    """Auth or chat: the cluster, and the audience that a token has to be for."""
    return method.containing_service.file.package.partition(".")[0]


def _asking_for(audience: str) -> _Route:
    settings = {"context_extensions": {"audience": audience}}
    return {"envoy.filters.http.ext_authz": {"@type": _PER_ROUTE, "check_settings": settings}}


# What is named so changes nothing (AIP 131, 132, 231): it may be asked twice, of another replica.
_READS: Final = ("Get", "List", "BatchGet", "Search", "Diff")
_PREVIOUS_HOSTS: Final = "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
_READ_AGAIN: Final = {
    "retry_on": "connect-failure,refused-stream,reset,unavailable",
    "num_retries": 2,
    "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
    "host_selection_retry_max_attempts": 5,
    "retry_host_predicate": [
        {
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {"@type": f"type.googleapis.com/{_PREVIOUS_HOSTS}"},
        }
    ],
}
_PER_ROUTE: Final = f"{_FILTERS}.ext_authz.v3.ExtAuthzPerRoute"
_WITHOUT_TOKEN: Final = {"envoy.filters.http.ext_authz": {"@type": _PER_ROUTE, "disabled": True}}
_UNBUFFERED: Final = {"envoy.filters.http.buffer": {"@type": f"{_FILTERS}.buffer.v3.BufferPerRoute", "disabled": True}}
_NO_ROUTE: Final = {
    "match": {"prefix": "/"},
    "direct_response": {"status": 404, "body": {"inline_string": _LOCAL_REPLIES[404][1]}},
    "typed_per_filter_config": _WITHOUT_TOKEN,
}


def _local_replies() -> Iterator[dict[str, object]]:
    """google.rpc.Status as JSON; gRPC has a status of its own, and what auth refuses has this shape already.

    The transcoder makes gRPC of JSON, and leaves a header that says so.
    """
    for status, (code, message) in _LOCAL_REPLIES.items():
        expression = _OWN_REPLY.format(status=status)
        cel = {"name": "cel", "typed_config": {"@type": _CEL, "expression": expression}}
        yield {
            "filter": {"extension_filter": cel},
            "body_format_override": {"json_format": {"code": code, "message": message}},
        }


def _transport(gateway: Gateway) -> dict[str, object]:
    """How the services are spoken to. Over TLS a replica's certificate names the host that it is reached by."""
    if gateway.tls_dir is None:
        raw = {"@type": f"{_TRANSPORTS}.raw_buffer.v3.RawBuffer"}
        return {"name": "envoy.transport_sockets.raw_buffer", "typed_config": raw}
    files = {name: {"filename": str(Path(gateway.tls_dir) / "client" / name)} for name in (CA, CERTIFICATE, KEY)}
    hosts = {_address(target)[0] for targets in gateway.replicas.values() for target in targets}
    tls = {
        "@type": f"{_TRANSPORTS}.tls.v3.UpstreamTlsContext",
        "common_tls_context": {
            "alpn_protocols": ["h2"],
            "tls_certificates": [{"certificate_chain": files[CERTIFICATE], "private_key": files[KEY]}],
            "validation_context": {
                "trusted_ca": files[CA],
                "match_typed_subject_alt_names": [_name(host) for host in sorted(hosts)],
            },
        },
    }
    return {"name": "envoy.transport_sockets.tls", "typed_config": tls}


def _name(host: str) -> dict[str, object]:
    is_name = host.strip("0123456789.") and ":" not in host
    return {"san_type": "DNS" if is_name else "IP_ADDRESS", "matcher": {"exact": host}}


def _address(target: str) -> tuple[str, int]:
    host, _, port = target.rpartition(":")
    return host.strip("[]"), int(port)


def _endpoint(target: str) -> dict[str, object]:
    host, port = _address(target)
    return {"endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}}}


def _descriptors(methods: Sequence[MethodDescriptor]) -> FileDescriptorSet:
    """The files of these methods, and of no others, each after what it imports; and the details that refusals carry."""
    known = {method.full_name for method in methods}
    files: dict[str, FileDescriptorProto] = {}
    for file in (*(method.containing_service.file for method in methods), error_details_pb2.DESCRIPTOR):
        _collect(file, files)
    for file in files.values():
        for service in file.service:
            kept = [method for method in service.method if f"{file.package}.{service.name}.{method.name}" in known]
            del service.method[:]
            service.method.extend(kept)
    return FileDescriptorSet(file=files.values())


def _collect(file: FileDescriptor, files: dict[str, FileDescriptorProto]) -> None:
    if file.name in files:
        return
    for imported in file.dependencies:
        _collect(imported, files)
    written = files[file.name] = FileDescriptorProto()
    file.CopyToProto(written)
