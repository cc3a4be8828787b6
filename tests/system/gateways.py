"""A real Envoy before the services of a test, the ways to call it, and an upstream that tells what arrives."""

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, TypeVar

import grpc
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer

from protos.options.v1 import access_pb2
from shared.embedded import free_port
from shared.processes import Child
from tests.authtest import Auth
from tools import envoy
from tools.envoy import Gateway

Held = TypeVar("Held")
_TRAILERS = 0x80


@dataclass(frozen=True)
class Answer:
    """What came back over HTTP."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.body))

    @property
    def reason(self) -> str:
        """The reason in the ErrorInfo of a refusal."""
        return str(self.json["details"][0]["reason"])


@dataclass
class Envoy:
    """A running Envoy."""

    gateway: Gateway
    child: Child

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.gateway.port}"

    async def http(
        self, path: str, body: str | bytes | None = "{}", token: str = "", method: str = "POST", **headers: str
    ) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            sent["authorization"] = f"Bearer {token}"
        return await asyncio.to_thread(self._http, method, path, body, sent)

    def _http(self, method: str, path: str, body: str | bytes | None, headers: Mapping[str, str]) -> Answer:
        connection = self.connect()
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            return Answer(
                response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
            )
        finally:
            connection.close()

    def connect(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.gateway.port, timeout=20)

    async def web(self, path: str, request: Message, token: str = "") -> Answer:
        """A call over gRPC-Web, as a browser makes it."""
        framed = b"\0" + struct.pack(">I", request.ByteSize()) + request.SerializeToString()
        return await self.http(path, framed, token, content_type="application/grpc-web+proto", x_grpc_web="1")

    @asynccontextmanager
    async def stubs(self) -> AsyncIterator[Auth]:
        async with grpc.aio.insecure_channel(self.target) as channel:
            yield Auth(None, channel, None, None)  # type: ignore[arg-type]


def frames(body: bytes) -> Iterator[tuple[bool, bytes]]:
    """The frames of a gRPC-Web answer: whether it is the trailers, and its content."""
    while body:
        length = struct.unpack(">I", body[1:5])[0]
        yield bool(body[0] & _TRAILERS), body[5 : 5 + length]
        body = body[5 + length :]


@asynccontextmanager
async def running_envoy(
    folder: Path,
    auth: Sequence[str],
    chat: Sequence[str],
    methods: Sequence[MethodDescriptor] = (),
    service_key: str = "",
) -> AsyncIterator[Envoy]:
    """Envoy before these replicas, passing the methods of the protos and these."""
    folder.mkdir(exist_ok=True)  # noqa: ASYNC240 - nobody waits for it
    gateway = Gateway(
        host="127.0.0.1",
        port=free_port(),
        admin_port=free_port(),
        replicas={"auth": auth, "chat": chat},
        service_key=service_key,
    )
    config = envoy.configure(gateway, folder, [*envoy.passed(), *methods])
    async with _in_thread(envoy.running(gateway, config, folder / "envoy.log")) as child:
        yield Envoy(gateway, child)


@asynccontextmanager
async def _in_thread(context: AbstractContextManager[Held]) -> AsyncIterator[Held]:
    """Enter and leave beside the loop, for what is waited for runs on the loop."""
    held = await asyncio.to_thread(context.__enter__)
    try:
        yield held
    finally:
        await asyncio.to_thread(context.__exit__, None, None, None)


def _echo_file() -> FileDescriptorProto:
    file = FileDescriptorProto(
        name="tests/echo.proto", package="chat.v1", syntax="proto3", dependency=["protos/options/v1/access.proto"]
    )
    message = file.message_type.add(name="Echo")
    kinds = {"type": FieldDescriptorProto.TYPE_STRING, "label": FieldDescriptorProto.LABEL_OPTIONAL}
    message.field.add(name="text", number=1, **kinds)
    service = file.service.add(name="EchoService")
    for name, access, streams in (
        ("Tell", access_pb2.ACCESS_USER, False),
        ("TellAnybody", access_pb2.ACCESS_PUBLIC, False),
        ("Stream", access_pb2.ACCESS_USER, True),
    ):
        method = service.method.add(
            name=name, input_type=".chat.v1.Echo", output_type=".chat.v1.Echo", server_streaming=streams
        )
        method.options.Extensions[access_pb2.access] = access
    return file


descriptor_pool.Default().AddSerializedFile(_echo_file().SerializeToString())
ECHO_METHODS: list[MethodDescriptor] = list(descriptor_pool.Default().FindServiceByName("chat.v1.EchoService").methods)
EchoMessage: Callable[..., Any] = message_factory.GetMessageClass(ECHO_METHODS[0].input_type)
TELL, TELL_ANYBODY, STREAM = (f"/chat.v1.EchoService/{method.name}" for method in ECHO_METHODS)


@dataclass
class Echo:
    """A service that stands where chat does, and keeps what arrives."""

    target: str = ""
    paths: list[str] = field(default_factory=list)
    metadata: list[dict[str, str | bytes]] = field(default_factory=list)
    seconds_left: list[float] = field(default_factory=list)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    def seen(self) -> dict[str, str | bytes]:
        """The metadata of the last call."""
        return self.metadata[-1]

    def handler(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any] | None":
        if not details.method.startswith("/grpc.health"):
            self.paths.append(details.method)
        codec = {"request_deserializer": EchoMessage.FromString, "response_serializer": EchoMessage.SerializeToString}
        if details.method in (TELL, TELL_ANYBODY):
            return grpc.unary_unary_rpc_method_handler(self._tell, **codec)
        if details.method == STREAM:
            return grpc.unary_stream_rpc_method_handler(self._stream, **codec)
        return None

    async def _tell(self, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        pairs = list(context.invocation_metadata() or ())
        self.metadata.append(dict(pairs))
        assert len(self.seen()) == len(pairs), "a header arrived twice"
        self.seconds_left.append(context.time_remaining() or 0.0)
        return EchoMessage(text=request.text)

    async def _stream(self, _: Any, __: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
        yield EchoMessage(text="first")
        await self.go_on.wait()
        yield EchoMessage(text="last")


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self, echo: Echo) -> None:
        self._echo = echo

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any] | None":
        return self._echo.handler(handler_call_details)


@asynccontextmanager
async def running_echo() -> AsyncIterator[Echo]:
    echo, server, health = Echo(), grpc.aio.server(), HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    await health.set("chat.v1.ConversationService", health_pb2.HealthCheckResponse.SERVING)
    server.add_generic_rpc_handlers((_Handlers(echo),))
    echo.target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield echo
    finally:
        await server.stop(None)
