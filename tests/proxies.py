"""A wire that can be held, cut and led elsewhere, between a service and what it talks to."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field


@dataclass(eq=False)
class Wire:
    """One connection through the proxy, and all that the client has sent on it."""

    writers: tuple[asyncio.StreamWriter, asyncio.StreamWriter]
    sent: bytearray = field(default_factory=bytearray)
    flows: asyncio.Event = field(default_factory=asyncio.Event)

    def cut(self) -> None:
        for writer in self.writers:
            writer.transport.abort()


@dataclass
class Proxy:
    """Passes bytes on to a port of this machine; `port` is its own."""

    target: int
    port: int = 0
    wires: set[Wire] = field(default_factory=set)

    def hold(self, marker: bytes = b"") -> list[Wire]:
        """Let nothing more pass on the connections whose client has sent this; both ends believe that they stand."""
        held = [wire for wire in self.wires if marker in wire.sent]
        for wire in held:
            wire.flows.clear()
        return held

    def release(self) -> None:
        for wire in self.wires:
            wire.flows.set()

    def lead_to(self, port: int) -> None:
        """Cut what is there; whoever connects anew meets another server."""
        self.target = port
        for wire in list(self.wires):
            wire.cut()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        wire = Wire((writer, to_writer))
        wire.flows.set()
        self.wires.add(wire)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass(wire, reader, to_writer, keep=True))
                group.create_task(self._pass(wire, to_reader, writer, keep=False))
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            self.wires.discard(wire)
            wire.cut()

    async def _pass(
        self, wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, keep: bool
    ) -> None:
        while data := await reader.read(65536):
            if keep:
                wire.sent += data
            await wire.flows.wait()
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError


@contextlib.asynccontextmanager
async def proxied(target: int) -> AsyncIterator[Proxy]:
    proxy = Proxy(target)
    server = await asyncio.start_server(proxy._serve, "127.0.0.1")
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.lead_to(0)
        await server.wait_closed()
