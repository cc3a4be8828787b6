"""Chat in a process of its own, for `bench`: as it is, or with `--believe` as it were if nobody had to be verified.

It prints its port, and ends when its input does.
"""

import asyncio
import os
import sys
from functools import lru_cache
from typing import Final
from uuid import UUID

# As the services set it: gRPC reads it when it is imported.
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_listener,-event_engine_client,-event_engine_callback_cq")

import jwt
import uvloop

from chat_service import server
from chat_service.config import ChatConfig
from shared import clock, log
from shared import config as settings
from shared.calls import Principal
from shared.grpc.process import settle
from shared.grpc.verifier import Verifier

BELIEVE: Final = "--believe"


class _Believing:
    """Takes every token for what it says of itself: what is left of a call without authentication."""

    async def verify(self, access_token: str) -> Principal:
        return _believed(access_token)


@lru_cache(maxsize=1_000)
def _believed(access_token: str) -> Principal:
    claims = jwt.decode(access_token, options={"verify_signature": False})
    return Principal(user_id=UUID(claims["sub"]), session_id=UUID(claims["sid"]), expire_time=clock.now())


async def _believing(*_: object) -> Verifier:
    return _Believing()


async def _serve() -> None:
    know: server.Know = _believing if BELIEVE in sys.argv else server.by_tokens
    async with server.build(settings.read(ChatConfig), know) as listening:
        settle()
        sys.stdout.write(f"{listening.port}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    log.configure("INFO", json=True)
    uvloop.run(_serve())
