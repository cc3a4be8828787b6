"""What `performance-test` measures: each operation as a caller sees it, over gRPC, with the running services."""

import asyncio
import itertools
import os
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from protos.auth.v1 import account_service_pb2 as account_pb2
from protos.auth.v1 import auth_service_pb2 as auth_pb2
from protos.chat.v1 import conversation_service_pb2 as conversation_pb2
from protos.chat.v1 import message_service_pb2 as message_pb2
from protos.chat.v1 import resources_pb2
from tools.clients import Clients, Person, log_in
from tools.seed import PASSWORD
from tools.seed_rows import email

TEXT: Final = "What would you plant in a garden that lies in the shade until noon? " * 3

_TIMEOUT: Final = 30.0
_WARM_UP: Final = 20
_PAGE: Final = 50
_PAUSE_SECONDS: Final = 0.004
_HASHING: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """How long the runs of an operation took, in seconds, in the order of the runs."""

    seconds: Sequence[float]

    def quantile(self, share: float) -> float:
        """The time that this share of the runs did not exceed."""
        ordered = sorted(self.seconds)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)]

    @property
    def median(self) -> float:
        """The time of the middle run."""
        return self.quantile(0.5)


Call = Callable[[], Awaitable[object]]


@dataclass(slots=True)
class Operations:
    """The operations, by people who were seeded; each method is bounded in its number of calls."""

    clients: Clients
    people: Sequence[Person]
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _name: str = field(default_factory=lambda: secrets.token_hex(4))

    async def sign_up(self) -> Samples:
        """New accounts, one after the other."""
        return await _timed(self._sign_up, 60, warm_up=3)

    async def log_in(self) -> Samples:
        """Sessions of known accounts, one after the other."""
        return await _timed(self._log_in, 100, warm_up=3)

    async def verify(self) -> Samples:
        """VerifyToken for the tokens of many people in turn."""
        turn = itertools.cycle(self.people)
        return await _timed(lambda: self.verify_once(next(turn)), 2_000, warm_up=len(self.people))

    async def profile(self) -> Samples:
        """GetProfile by many people in turn."""
        turn = itertools.cycle(self.people)
        request = account_pb2.GetProfileRequest()
        return await _timed(
            lambda: self.clients.accounts.GetProfile(request, metadata=next(turn).bearer, timeout=_TIMEOUT), 2_000
        )

    async def refresh(self) -> Samples:
        """RefreshToken, each person's newest token in turn."""
        turn = itertools.cycle(self.people)
        return await _timed(lambda: self.renew(next(turn)), 500)

    async def log_in_together(self, count: int, rounds: int) -> Samples:
        """The time until so many concurrent log-ins have all been answered."""

        async def together() -> None:
            await asyncio.gather(*(self._log_in() for _ in range(count)))

        return await _timed(together, rounds, warm_up=1)

    async def verify_while_hashing(self) -> Samples:
        """VerifyToken while twenty log-ins are under way all the time."""
        done = asyncio.Event()

        async def keep_logging_in() -> None:
            while not done.is_set():
                await self._log_in()

        async def verify() -> None:
            await self.verify_once(next(turn))

        turn = itertools.cycle(self.people)
        async with asyncio.TaskGroup() as group:
            for _ in range(_HASHING):
                group.create_task(keep_logging_in())
            try:
                await asyncio.sleep(0.3)
                return await _timed(verify, 600, pause=_PAUSE_SECONDS)
            finally:
                done.set()

    async def create_conversation(self) -> Samples:
        """New conversations."""
        turn = itertools.cycle(self.people)
        return await _timed(lambda: self.new_conversation(next(turn)), 300)

    async def send_message(self) -> Samples:
        """Messages of 200 characters into a few conversations."""
        places = itertools.cycle([(person, await self.new_conversation(person)) for person in self.people[:10]])
        return await _timed(lambda: self.send(*next(places)), 600)

    async def list_messages(self) -> Samples:
        """Pages of fifty messages."""
        places = []
        for person in self.people[:10]:
            conversation_id = await self.new_conversation(person)
            await self.fill(person, conversation_id, 2 * _PAGE)
            places.append((person, conversation_id))
        turn = itertools.cycle(places)
        return await _timed(lambda: self.page(*next(turn)), 600)

    async def verify_once(self, person: Person) -> None:
        """VerifyToken for a person's token, which is good."""
        request = auth_pb2.VerifyTokenRequest(access_token=person.tokens.access_token)
        answer = await self.clients.auth.VerifyToken(request, timeout=_TIMEOUT)
        assert answer.active, "a good token is not active"  # noqa: S101 (the measurement would mean nothing)

    async def renew(self, person: Person) -> None:
        """New tokens for a person."""
        request = auth_pb2.RefreshTokenRequest(refresh_token=person.tokens.refresh_token)
        person.tokens = (await self.clients.auth.RefreshToken(request, timeout=_TIMEOUT)).tokens

    async def new_conversation(self, person: Person) -> str:
        """The id of a conversation that has just been made."""
        request = conversation_pb2.CreateConversationRequest(
            conversation=resources_pb2.Conversation(title="Measured"), request_id=secrets.token_hex(16)
        )
        to = self.clients.conversations
        return (await to.CreateConversation(request, metadata=person.bearer, timeout=_TIMEOUT)).conversation.id

    async def send(self, person: Person, conversation_id: str) -> None:
        """One message."""
        request = self._message(conversation_id)
        await self.clients.messages.SendMessage(request, metadata=person.bearer, timeout=_TIMEOUT)

    async def fill(self, person: Person, conversation_id: str, count: int) -> None:
        """At most a hundred messages at once."""
        request = message_pb2.BatchSendMessagesRequest(
            conversation_id=conversation_id, requests=[self._message(conversation_id) for _ in range(count)]
        )
        await self.clients.messages.BatchSendMessages(request, metadata=person.bearer, timeout=_TIMEOUT)

    async def page(self, person: Person, conversation_id: str) -> None:
        """The newest fifty messages."""
        request = message_pb2.ListMessagesRequest(conversation_id=conversation_id, page_size=_PAGE, descending=True)
        answer = await self.clients.messages.ListMessages(request, metadata=person.bearer, timeout=_TIMEOUT)
        assert answer.messages, "a page without messages"  # noqa: S101 (the measurement would mean nothing)

    async def _sign_up(self) -> None:
        request = auth_pb2.SignUpRequest(
            email=f"measured-{self._name}-{next(self._numbers)}@example.com",
            password=PASSWORD,
            display_name="Measured",
            request_id=secrets.token_hex(16),
        )
        await self.clients.auth.SignUp(request, timeout=_TIMEOUT)

    async def _log_in(self) -> None:
        await log_in(self.clients, email(1_000 + next(self._numbers) % 5_000), PASSWORD)

    @staticmethod
    def _message(conversation_id: str) -> message_pb2.SendMessageRequest:
        return message_pb2.SendMessageRequest(
            conversation_id=conversation_id,
            role=resources_pb2.ROLE_USER,
            parts=[resources_pb2.Part(text=TEXT)],
            request_id=secrets.token_hex(16),
        )


def cores() -> int:
    """How many cores this machine lets us use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


async def _timed(call: Call, count: int, *, warm_up: int = _WARM_UP, pause: float = 0.0) -> Samples:
    """The runs that count, after some that do not."""
    for _ in range(warm_up):
        await call()
    seconds = []
    for _ in range(count):
        begin = time.perf_counter()
        await call()
        seconds.append(time.perf_counter() - begin)
        if pause:
            await asyncio.sleep(pause)
    return Samples(seconds=seconds)
