"""300 log-ins at once fit into 300 MB, and nobody else waits for them (F27, R52)."""

import asyncio
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from pathlib import Path

import grpc

from tests.auth import processes
from tests.authtest import Auth
from tests.grpc_errors import Failure, unpacked
from tests.servers import Servers, TestDatabase

LOG_INS = 300
CONNECTIONS = 6  # one carries a hundred calls at once
MEGABYTES = 300
_OPTIONS = (("grpc.use_local_subchannel_pool", 1),)


def peak_megabytes(pid: int) -> float:
    """The most memory that a process has had at any time, as Linux counts it."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


async def refusal(log_in: Awaitable[object]) -> Failure | None:
    try:
        await log_in
    except grpc.aio.AioRpcError as error:
        return unpacked(error)
    return None


async def test_three_hundred_log_ins_at_once_stay_in_their_memory_and_the_excess_is_told_when_to_come_back(
    servers: Servers, auth_database: TestDatabase
) -> None:
    async with AsyncExitStack() as stack:
        auth, process = await stack.enter_async_context(processes.serving(auth_database, servers.redis.url))
        await stack.enter_async_context(processes.listening_to(process))
        await auth.sign_up()
        tokens = (await auth.sign_up("eve@example.com")).tokens
        channels = [
            await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{auth.server.port}", _OPTIONS))
            for _ in range(CONNECTIONS)
        ]
        crowd = [Auth(auth.server, channel, auth.database, auth.config) for channel in channels]
        log_ins = [asyncio.ensure_future(refusal(crowd[number % CONNECTIONS].log_in())) for number in range(LOG_INS)]
        running: set[asyncio.Future[Failure | None]] = set(log_ins)
        verified = 0
        while running:
            assert (await auth.verify(tokens.access_token)).active
            verified += 1
            _, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        refused = [answer for one in log_ins if (answer := one.result()) is not None]
        assert {one.reason for one in refused} == {"OVERLOADED"}
        assert all(one.retry_seconds for one in refused)
        assert len(refused) < LOG_INS
        assert verified > 1
        assert peak_megabytes(process.pid) < MEGABYTES
        assert (await auth.log_in()).user.email == "ada@example.com"
