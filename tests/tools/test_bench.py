"""What `bench` counts is the processor time of the process that serves."""

import os
import sys
import threading
import time

import grpc
import pytest

from protos.auth.v1 import auth_service_pb2, auth_service_pb2_grpc
from tests.authtest import Auth
from tools import bench, local_check, processor

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
    with bench._empty_server() as (port, pid):
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = auth_service_pb2_grpc.AuthServiceStub(channel)
            answer = await stub.VerifyToken(auth_service_pb2.VerifyTokenRequest(), timeout=5)
    assert answer == auth_service_pb2.VerifyTokenResponse()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_token_is_checked_with_the_keys_that_auth_publishes(auth: Auth):
    tokens = (await auth.sign_up()).tokens
    checks = local_check.measure(
        tokens.access_token, await auth.auth.GetJwks(auth_service_pb2.GetJwksRequest()), warm_runs=100, cold_runs=10
    )
    assert [check.name for check in checks] == ["remembered", "seen for the first time"]
    assert 0 < checks[0].micros < checks[1].micros
