"""`call`: one RPC of the running stack by its name, with its request and its answer as JSON."""

import json
from collections.abc import Iterable, Iterator
from typing import Annotated

import grpc
import typer
from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status

from tools import channels
from tools.stack import running_stack
from tools.ui import Failure, Refusal, console, errors

_REFLECTION = "grpc.reflection."


def call(
    method: Annotated[str, typer.Argument(help="auth.v1.AuthService/LogIn, or LogIn where that is unique.")],
    request: Annotated[str, typer.Argument(help="The request as JSON; an array is a stream of requests.")] = "{}",
    *,
    header: Annotated[list[str] | None, typer.Option("-H", "--header", help="Metadata, as 'key: value'.")] = None,
    token: Annotated[str | None, typer.Option("--token", "-t", help="An access token.", envvar="TOKEN")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds.")] = 30.0,
) -> None:
    """Call one RPC of the running stack and print its answer."""
    stack = running_stack()
    if stack is None:
        raise Refusal("No stack is running here: start one with `make run`, or set PARLEY_DATA_DIR to its folder.")
    metadata = [_header(line) for line in header or []]
    if token:
        metadata.append(("authorization", f"Bearer {token}"))
    with (
        channels.blocking(stack.auth_target, stack.tls_dir) as auth,
        channels.blocking(stack.chat_target, stack.tls_dir) as chat,
    ):
        channel, found = _find(method, (auth, chat))
        try:
            for answer in _answers(channel, found, _requests(found, request), metadata, timeout):
                console.print_json(json_format.MessageToJson(answer, preserving_proto_field_name=True))
        except grpc.RpcError as error:
            if isinstance(error, grpc.Call):
                _explain(error)
            raise typer.Exit(1) from None


def _header(line: str) -> tuple[str, str]:
    key, separator, value = line.partition(":")
    if not separator:
        raise Refusal(f"The header {line!r} has no colon: write it as 'key: value'.")
    return key.strip().lower(), value.strip()


def _find(name: str, channels: tuple[grpc.Channel, ...]) -> tuple[grpc.Channel, MethodDescriptor]:
    """The method of that full or short name, and the channel of the service that has it."""
    service_name, _, method_name = name.replace("/", ".").rpartition(".")
    known = list(_methods(channels))
    found = [
        (channel, method)
        for channel, method in known
        if method.name.lower() == method_name.lower()
        and f".{method.containing_service.full_name}".endswith(f".{service_name}" if service_name else "")
    ]
    full_names = {f"{method.containing_service.full_name}/{method.name}" for _, method in found}
    if len(full_names) > 1:
        names = ", ".join(sorted(full_names))
        raise Refusal(f"{name} is not unique: say which of {names}.")
    if not found:
        names = ", ".join(sorted({method.name for _, method in known}))
        raise Refusal(f"There is no method {name}. There are: {names}.")
    return found[0]


def _methods(channels: tuple[grpc.Channel, ...]) -> Iterator[tuple[grpc.Channel, MethodDescriptor]]:
    for channel in channels:
        try:
            database = ProtoReflectionDescriptorDatabase(channel)
            pool = DescriptorPool(database)
            for service in database.get_services():
                if not service.startswith(_REFLECTION):
                    yield from ((channel, method) for method in pool.FindServiceByName(service).methods)
        except grpc.RpcError as error:
            raise Failure(f"A service does not answer reflection: {error.details()}") from None


def _requests(method: MethodDescriptor, text: str) -> list[Message]:
    try:
        parsed = json.loads(text)
        items = parsed if isinstance(parsed, list) else [parsed]
        if not all(isinstance(item, dict) for item in items):
            raise ValueError("it is no object")
        return [json_format.ParseDict(item, GetMessageClass(method.input_type)()) for item in items]
    except (ValueError, json_format.ParseError) as error:
        raise Refusal(f"The request is not a {method.input_type.full_name} in JSON: {error}") from None


def _answers(
    channel: grpc.Channel,
    method: MethodDescriptor,
    requests: list[Message],
    metadata: Iterable[tuple[str, str]],
    timeout: float,
) -> Iterator[Message]:
    # On the wire a call with one message is a stream of one: this way serves all four kinds.
    stream: grpc.StreamStreamMultiCallable[Message, Message] = channel.stream_stream(
        f"/{method.containing_service.full_name}/{method.name}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )
    yield from stream(iter(requests), metadata=tuple(metadata), timeout=timeout)


def _explain(error: grpc.Call) -> None:
    """Say what went wrong: status, reason and facts, every field, and when to try again."""
    errors.print(f"{error.code().name}: {error.details()}", style="bold red", markup=False, soft_wrap=True)
    status = rpc_status.from_call(error)
    for detail in status.details if status is not None else ():
        for kind in (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.RetryInfo):
            message = kind()
            if detail.Unpack(message):
                for line in _lines(message):
                    errors.print(f"  {line}", markup=False, soft_wrap=True)


def _lines(detail: Message) -> Iterator[str]:
    match detail:
        case error_details_pb2.ErrorInfo():
            facts = ", ".join(f"{key}={value}" for key, value in sorted(detail.metadata.items()))
            yield f"reason: {detail.reason} ({detail.domain}) {facts}".rstrip()
        case error_details_pb2.BadRequest():
            for violation in detail.field_violations:
                yield f"{violation.field}: {violation.description}"
        case error_details_pb2.RetryInfo():
            yield f"try again in {detail.retry_delay.ToTimedelta().total_seconds():g} s"
