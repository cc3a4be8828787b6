"""What `bench` counts is the processor time of the process that serves."""

import os
import sys
import threading
import time
from types import SimpleNamespace
from typing import cast

import grpc
import jwt
import pytest

from protos.auth.v1 import auth_service_pb2, auth_service_pb2_grpc
from protos.chat.v1 import conversation_service_pb2, conversation_service_pb2_grpc
from shared import ids
from shared.grpc.verifying import verifying
from tests.authtest import PASSWORD, SERVICE_KEY, Auth, bearer
from tests.servers import Servers, fresh_database, make_master_key
from tools import bench_chat, local_check, processor
from tools.clients import Clients
from tools.measured import measured

BURN_SECONDS = 0.05


def burn() -> None:
    begin = time.thread_time()
    while time.thread_time() - begin < BURN_SECONDS:
        pass


def test_a_process_is_charged_for_the_time_it_uses():
    before = processor.spent(os.getpid())
    burn()
    assert processor.spent(os.getpid()).since(before) >= BURN_SECONDS * 0.8


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the time of each thread")
def test_threads_that_have_stepped_back_can_be_left_out():
    before, done, counted = processor.spent(os.getpid()), threading.Event(), threading.Event()

    def burn_with_less_priority() -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        burn()
        done.set()
        counted.wait(5)

    thread = threading.Thread(target=burn_with_less_priority)
    thread.start()
    assert done.wait(10)
    after = processor.spent(os.getpid())
    counted.set()
    thread.join()
    assert after.since(before) - after.since(before, without_nice=True) >= BURN_SECONDS * 0.8


async def test_the_empty_server_answers_as_auth_would_and_ends_with_the_command():
    with measured("tools.empty_server") as (port, pid):
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = auth_service_pb2_grpc.AuthServiceStub(channel)
            answer = await stub.VerifyToken(auth_service_pb2.VerifyTokenRequest(), timeout=5)
    assert answer == auth_service_pb2.VerifyTokenResponse()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_service_that_verifies_itself_is_measured(auth: Auth):
    made = await auth.sign_up()
    tokens = [(await auth.log_in()).tokens.access_token for _ in range(3)]
    auth_target = f"127.0.0.1:{auth.server.port}"
    async with verifying(auth_target=auth_target, audience="chat", key=SERVICE_KEY) as verifier:
        warm, cold, signature = await local_check.cost(verifier, tokens, rounds=1, warm_runs=100)
        assert 0 < warm.value < cold.value
        assert signature.value > 0
        to = cast("Clients", SimpleNamespace(auth=auth.auth))
        median, p99, longest = await local_check.delay(verifier, to, [made.user.email] * 3, PASSWORD)
        assert 0 < median.value <= p99.value <= longest.value
    assert [check.budget for check in (warm, cold, signature, p99)] == [5.0, 250.0, None, 100.0]


async def test_chat_is_measured_with_and_without_authentication(auth: Auth, servers: Servers):
    """The one that believes is for the bench alone: it takes a forged token, which the other refuses."""
    forged = jwt.encode({"sub": str(ids.new_id()), "sid": str(ids.new_id())}, "of nobody" * 4, "HS256")
    async with fresh_database(servers, "chat") as database:
        environment = {
            "PATH": os.environ["PATH"],
            "CHAT_PORT": "0",
            "CHAT_OPS_PORT": "0",
            "CHAT_DATABASE_URL": database.url,
            "CHAT_MASTER_KEY": make_master_key(),
            "CHAT_SERVICE_KEY": SERVICE_KEY,
            "CHAT_AUTH_TARGET": f"127.0.0.1:{auth.server.port}",
            "REDIS_URL": servers.redis.url,
        }
        for arguments, code in (((), grpc.StatusCode.UNAUTHENTICATED), ((bench_chat.BELIEVE,), grpc.StatusCode.OK)):
            with measured("tools.bench_chat", *arguments, environment=environment) as (port, _):
                async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                    stub = conversation_service_pb2_grpc.ConversationServiceStub(channel)
                    request = conversation_service_pb2.ListConversationsRequest()
                    call = stub.ListConversations(request, metadata=bearer(forged), timeout=20)
                    assert await call.code() is code
