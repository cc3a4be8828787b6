"""What it costs chat to know who is calling: the same call with and without authentication, each in its own process."""

import base64
import itertools
import os
import secrets
import statistics
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from protos.chat.v1.conversation_service_pb2 import GetConversationRequest
from tools import certificates
from tools.bench_chat import BELIEVE
from tools.clients import Clients, Person, clients
from tools.cost import Operation, load, spend
from tools.folder import Stack
from tools.local_check import Check
from tools.measured import measured
from tools.operations import Operations

_BUDGET: Final = 1.1
_ROUNDS_MORE: Final = 2  # for two figures that are nearly the same


async def measure(
    running: Stack, people: Sequence[Person], conversations: Mapping[str, str], rounds: int
) -> Sequence[Check]:
    """The ratio of both, of a cheap call and of a dear one."""
    environment = _environment(running)
    with (
        measured("tools.bench_chat", environment=environment) as (knowing_port, knowing),
        measured("tools.bench_chat", BELIEVE, environment=environment) as (believing_port, believing),
    ):
        pids = {"knowing": knowing, "believing": believing}
        async with _at(running, knowing_port) as known, _at(running, believing_port) as believed:
            pairs = zip(
                _operations("knowing", Operations(known, people), conversations),
                _operations("believing", Operations(believed, people), conversations),
                strict=True,
            )
            return [await _compare(with_it, without, pids, _ROUNDS_MORE * rounds) for with_it, without in pairs]


async def _compare(with_it: Operation, without: Operation, pids: Mapping[str, int], rounds: int) -> Check:
    for operation in (with_it, without):
        await load(operation, operation.count // 2)
    ratios = []
    for _ in range(rounds):
        bare, _ = await spend(without, pids)
        full, _ = await spend(with_it, pids)
        ratios.append(full / bare)
    return Check(
        name=f"{with_it.name} of chat, to the same without authentication",
        value=statistics.median(ratios),
        unit="times",
        budget=_BUDGET,
    )


def _operations(service: str, to: Operations, conversations: Mapping[str, str]) -> list[Operation]:
    turns = itertools.cycle(to.people)

    async def get() -> None:
        person = next(turns)
        request = GetConversationRequest(conversation_id=conversations[person.email])
        await to.clients.conversations.GetConversation(request, metadata=person.bearer)

    async def send() -> None:
        person = next(turns)
        await to.send(person, conversations[person.email])

    return [
        Operation(name="GetConversation", service=service, call=get, count=2_000),
        Operation(name="SendMessage", service=service, call=send, count=1_500),
    ]


@asynccontextmanager
async def _at(running: Stack, port: int) -> AsyncIterator[Clients]:
    async with clients(replace(running, chat_target=f"127.0.0.1:{port}")) as to:
        yield to


def _environment(running: Stack) -> dict[str, str]:
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith(("AUTH_", "CHAT_"))}
    tls = {} if running.tls_dir is None else certificates.settings(Path(running.tls_dir))
    return (
        surroundings
        | tls
        | {
            "CHAT_PORT": "0",
            "CHAT_OPS_PORT": "0",
            "CHAT_DATABASE_URL": running.chat_database_url,
            "CHAT_MASTER_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
            "CHAT_SERVICE_KEY": running.service_key,
            "CHAT_AUTH_TARGET": running.auth_target,
            "REDIS_URL": running.redis_url,
        }
    )
