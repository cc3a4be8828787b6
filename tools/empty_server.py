"""A gRPC server that does nothing: what a call costs before Parley adds to it. `bench` runs it in a process of its own.

It has the services' options and event loop, and no interceptor. It prints its port, and ends when its input does.
"""

import asyncio
import os
import sys
from typing import Any

# As the services set it: gRPC reads it when it is imported.
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_listener,-event_engine_client,-event_engine_callback_cq")

import grpc
import uvloop
from grpc.aio import ServicerContext

from protos.auth.v1 import auth_service_pb2
from shared.grpc.process import settle
from shared.grpc.server import _MAX_CONCURRENT_CALLS as MAX_CONCURRENT_CALLS
from shared.grpc.server import _OPTIONS as OPTIONS

Context = ServicerContext[Any, Any]


async def _nothing(_: auth_service_pb2.VerifyTokenRequest, __: Context) -> auth_service_pb2.VerifyTokenResponse:
    return auth_service_pb2.VerifyTokenResponse()


async def _serve() -> None:
    server = grpc.aio.server(options=OPTIONS, maximum_concurrent_rpcs=MAX_CONCURRENT_CALLS)
    handler = grpc.unary_unary_rpc_method_handler(
        _nothing,
        request_deserializer=auth_service_pb2.VerifyTokenRequest.FromString,
        response_serializer=auth_service_pb2.VerifyTokenResponse.SerializeToString,
    )
    generic = grpc.method_handlers_generic_handler("auth.v1.AuthService", {"VerifyToken": handler})
    server.add_generic_rpc_handlers((generic,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    settle()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(0)


if __name__ == "__main__":
    uvloop.run(_serve())
