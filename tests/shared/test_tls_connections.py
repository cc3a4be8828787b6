"""TLS on the wire: who gets in, and how certificates change while calls are in flight."""

import asyncio
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from shared.config import Unusable
from shared.grpc import channels
from shared.grpc.credentials import ServerTls
from shared.grpc.server import GrpcServer, listen
from shared.tls import Certificates
from tests.certificates import Side, certificate_of, credentials, shown_at
from tools.certificates import CA, CERTIFICATE, Authority

OURS, OTHERS = Authority.new("Ours"), Authority.new("Others")
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_ALONE = (("grpc.use_local_subchannel_pool", 1),)  # a connection for each channel


@dataclass
class Listening:
    """A server of ours with nothing but its health, and the files that it reads."""

    server: GrpcServer
    tls: ServerTls
    side: Side

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    def channel(self, shown: grpc.ChannelCredentials | None) -> grpc.aio.Channel:
        if shown is None:
            return grpc.aio.insecure_channel(self.target, options=_ALONE)
        return grpc.aio.secure_channel(self.target, shown, options=_ALONE)

    async def lets_in(self, shown: grpc.ChannelCredentials | None) -> bool:
        async with self.channel(shown) as channel:
            return await answers(channel)


@asynccontextmanager
async def listening(side: Side) -> AsyncIterator[Listening]:
    tls = ServerTls(Certificates(side.files))
    server = await listen(
        "127.0.0.1",
        0,
        [],
        None,
        domain="test",
        reflect=False,
        credentials=tls.credentials,  # type: ignore[arg-type]
    )
    await server.report(serving=True)
    try:
        yield Listening(server, tls, side)
    finally:
        await server.stop(0)


@pytest.fixture
async def open_to_all(tmp_path: Path) -> AsyncIterator[Listening]:
    """It shows a certificate, and asks for none."""
    async with listening(Side(tmp_path / "server").put(OURS.issue("auth", "127.0.0.1"))) as server:
        yield server


@pytest.fixture
async def mutual(tmp_path: Path) -> AsyncIterator[Listening]:
    """It shows a certificate, and asks for one."""
    async with listening(Side(tmp_path / "server").put(OURS.issue("auth", "127.0.0.1"), OURS)) as server:
        yield server


async def answers(channel: grpc.aio.Channel) -> bool:
    try:
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
    except grpc.aio.AioRpcError as error:
        assert error.code() is grpc.StatusCode.UNAVAILABLE  # noqa: PT017 - a handshake that fails is nothing else
        return False
    return answer.status == SERVING


class Watch:
    """A stream in flight, which says what the server says while it lasts."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.call = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())

    async def next(self) -> int:
        return (await asyncio.wait_for(self.call.read(), 10)).status

    async def goes_on(self, server: GrpcServer) -> bool:
        await server.report(serving=False)
        seen = [await self.next()]
        await server.report(serving=True)
        return [*seen, await self.next()] == [NOT_SERVING, SERVING]


async def test_a_client_that_believes_the_ca_gets_in_and_plaintext_does_not(open_to_all: Listening) -> None:
    """R54."""
    assert await open_to_all.lets_in(credentials(OURS))
    assert not await open_to_all.lets_in(None)


async def test_a_client_that_believes_another_ca_does_not_speak_to_the_server(open_to_all: Listening) -> None:
    """R54."""
    assert not await open_to_all.lets_in(credentials(OTHERS))


async def test_a_server_of_another_name_is_not_spoken_to(tmp_path: Path) -> None:
    """R54."""
    async with listening(Side(tmp_path / "server").put(OURS.issue("elsewhere.example"))) as server:
        assert not await server.lets_in(credentials(OURS))


async def test_mutual_tls_lets_in_whose_certificate_is_of_the_ca_and_nobody_else(mutual: Listening) -> None:
    """R54."""
    assert await mutual.lets_in(credentials(OURS, OURS.issue("chat")))
    assert not await mutual.lets_in(credentials(OURS))
    assert not await mutual.lets_in(credentials(OURS, OTHERS.issue("chat")))
    assert not await mutual.lets_in(None)


@pytest.mark.parametrize(
    ("version", "taken"),
    [
        (ssl.TLSVersion.TLSv1, False),
        (ssl.TLSVersion.TLSv1_1, False),
        (ssl.TLSVersion.TLSv1_2, True),
        (ssl.TLSVersion.TLSv1_3, True),
    ],
)
async def test_versions_of_tls_before_1_2_are_refused(
    open_to_all: Listening, version: ssl.TLSVersion, taken: object
) -> None:
    """R54."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(cadata=OURS.certificate.decode())
    client.set_ciphers("ALL:@SECLEVEL=0")
    client.set_alpn_protocols(["h2"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        client.minimum_version = client.maximum_version = version
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", open_to_all.server.port, ssl=client)
    except (ssl.SSLError, ConnectionResetError):
        assert not taken
        return
    assert taken
    assert writer.get_extra_info("ssl_object").version() == version.name.replace("_", ".")
    writer.transport.abort()


async def test_a_new_certificate_is_shown_at_the_next_handshake_while_a_stream_goes_on(open_to_all: Listening) -> None:
    before = await shown_at(open_to_all.server.port)
    async with open_to_all.channel(credentials(OURS)) as channel:
        watch = Watch(channel)
        assert await watch.next() == SERVING
        renewed = OTHERS.issue("auth", "127.0.0.1")
        open_to_all.side.put(renewed)
        assert await shown_at(open_to_all.server.port) == before
        await open_to_all.tls.refresh()
        assert await shown_at(open_to_all.server.port) == certificate_of(renewed)
        assert await open_to_all.lets_in(credentials(OTHERS))
        assert not await open_to_all.lets_in(credentials(OURS))
        assert await watch.goes_on(open_to_all.server)
        assert await answers(channel)


async def test_another_ca_for_clients_counts_from_the_next_handshake_while_a_stream_goes_on(mutual: Listening) -> None:
    ours, others = OURS.issue("chat"), OTHERS.issue("chat")
    async with mutual.channel(credentials(OURS, ours)) as channel:
        watch = Watch(channel)
        assert await watch.next() == SERVING
        mutual.side.put(None, OURS, OTHERS)
        await mutual.tls.refresh()
        assert await mutual.lets_in(credentials(OURS, ours))
        assert await mutual.lets_in(credentials(OURS, others))
        mutual.side.put(None, OTHERS)
        await mutual.tls.refresh()
        assert not await mutual.lets_in(credentials(OURS, ours))
        assert await mutual.lets_in(credentials(OURS, others))
        assert await watch.goes_on(mutual.server)


async def test_a_broken_file_leaves_the_server_as_it_was(mutual: Listening) -> None:
    before = await shown_at(mutual.server.port)
    mutual.side.write(CERTIFICATE, b"half a file")
    mutual.side.write(CA, b"")
    await mutual.tls.refresh()
    assert await shown_at(mutual.server.port) == before
    assert await mutual.lets_in(credentials(OURS, OURS.issue("chat")))
    assert not await mutual.lets_in(credentials(OURS))


@pytest.fixture
def client(tmp_path: Path) -> Side:
    return Side(tmp_path / "client", "auth").put(OURS.issue("chat"), OURS)


async def test_a_channel_takes_a_new_certificate_while_a_stream_goes_on_over_the_former_one(
    mutual: Listening, client: Side
) -> None:
    async with channels.connect(mutual.target, client.files) as channel:
        stub = health_pb2_grpc.HealthStub(channel)  # made once, as the services do
        watch = Watch(channel)
        assert await watch.next() == SERVING
        mutual.side.put(None, OTHERS)
        await mutual.tls.refresh()
        client.put(OTHERS.issue("chat"))
        await channel.renew()  # type: ignore[attr-defined]
        assert (await stub.Check(health_pb2.HealthCheckRequest(), timeout=10)).status == SERVING
        assert await watch.goes_on(mutual.server)
        assert closing()
        watch.call.cancel()
        async with asyncio.timeout(10):
            while closing():
                await asyncio.sleep(0)
        assert (await stub.Check(health_pb2.HealthCheckRequest(), timeout=10)).status == SERVING


async def test_a_channel_takes_another_ca_for_its_server(open_to_all: Listening, tmp_path: Path) -> None:
    client = Side(tmp_path / "client", "auth").put(None, OTHERS)
    async with channels.connect(open_to_all.target, client.files) as channel:
        assert not await answers(channel)
        client.put(None, OURS)
        await channel.renew()  # type: ignore[attr-defined]
        assert await answers(channel)
        client.write(CA, b"half a file")
        await channel.renew()  # type: ignore[attr-defined]
        assert await answers(channel)


async def test_closing_a_channel_ends_the_calls_of_the_former_one_too(mutual: Listening, client: Side) -> None:
    async with channels.connect(mutual.target, client.files) as channel:
        watch = Watch(channel)
        assert await watch.next() == SERVING
        client.put(OURS.issue("chat"))
        await channel.renew()  # type: ignore[attr-defined]
        assert closing()
    assert not closing()
    assert watch.call.cancelled()


async def test_a_channel_without_files_speaks_plaintext_and_one_with_unusable_files_does_not_begin(
    open_to_all: Listening, client: Side
) -> None:
    async with channels.connect(open_to_all.target, None) as channel:
        assert not await answers(channel)
    client.write(CA, b"")
    with pytest.raises(Unusable, match=r"auth_ca_file .*ca\.pem holds no certificate"):
        async with channels.connect(open_to_all.target, client.files):
            pass


def closing() -> list[str]:
    """Former channels that wait for the last of their calls."""
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name() == "last calls of a channel"]
