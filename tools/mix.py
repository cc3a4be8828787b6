"""A mix of calls as an application makes them, to see what share of the look-ups the cache answers."""

import asyncio
import random
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from google.protobuf.field_mask_pb2 import FieldMask

from protos.auth.v1 import account_service_pb2 as account_pb2
from protos.auth.v1 import auth_service_pb2 as auth_pb2
from protos.auth.v1.resources_pb2 import User
from protos.chat.v1 import conversation_service_pb2 as conversation_pb2
from tools.clients import log_in
from tools.operations import Operations
from tools.seed import PASSWORD
from tools.seed_rows import email

PEOPLE: Final = 60
CALLS: Final = 3_600
_CALLERS: Final = 8
_FIRST: Final = 7_000
_FAVOURITES: Final = 0.9
# Of a thousand calls. Changes of the account and of the session are more frequent here than in use.
_SHARES: Final = {
    "verify": 400,
    "profile": 150,
    "page": 160,
    "send": 150,
    "list": 70,
    "read_sessions": 20,
    "renew": 40,
    "rename": 5,
    "sign_in_again": 5,
}

DESCRIPTION: Final = (
    f"{PEOPLE} people whom the cache does not know sign in and make {CALLS:,} calls, {_CALLERS} at a time, a few of "
    "them many and most of them few. Of 1,000 calls 400 are VerifyToken, 150 GetProfile, 160 ListMessages, 150 "
    "SendMessage, 70 ListConversations, 20 ListSessions, 40 RefreshToken, 5 UpdateProfile, 5 LogOut with a new LogIn. "
    "Each session or user that a call needs is a look-up; a first look-up, one after a change, and one that bypasses "
    "the cache count as not found."
)


class _Visitor:
    """Somebody who uses the application, one call at a time; each of the methods is one kind of call."""

    def __init__(self, operations: Operations, number: int) -> None:
        self._to, self._operations, self._email = operations.clients, operations, email(number)
        self.busy = asyncio.Lock()

    async def arrive(self) -> None:
        """Sign in, and begin a conversation."""
        self._person = await log_in(self._to, self._email, PASSWORD)
        self._conversation_id = await self._operations.new_conversation(self._person)
        await self._operations.fill(self._person, self._conversation_id, 20)

    async def verify(self) -> None:
        await self._operations.verify_once(self._person)

    async def profile(self) -> None:
        await self._to.accounts.GetProfile(account_pb2.GetProfileRequest(), metadata=self._person.bearer)

    async def page(self) -> None:
        await self._operations.page(self._person, self._conversation_id)

    async def send(self) -> None:
        await self._operations.send(self._person, self._conversation_id)

    async def list(self) -> None:
        request = conversation_pb2.ListConversationsRequest(page_size=20)
        await self._to.conversations.ListConversations(request, metadata=self._person.bearer)

    async def read_sessions(self) -> None:
        await self._to.accounts.ListSessions(account_pb2.ListSessionsRequest(), metadata=self._person.bearer)

    async def renew(self) -> None:
        await self._operations.renew(self._person)

    async def rename(self) -> None:
        user = User(display_name=f"Person {secrets.token_hex(4)}")
        request = account_pb2.UpdateProfileRequest(user=user, update_mask=FieldMask(paths=["display_name"]))
        await self._to.accounts.UpdateProfile(request, metadata=self._person.bearer)

    async def sign_in_again(self) -> None:
        await self._to.auth.LogOut(auth_pb2.LogOutRequest(), metadata=self._person.bearer)
        self._person = await log_in(self._to, self._email, PASSWORD)


@dataclass(slots=True)
class Mix:
    """The calls, in an order that is the same each time."""

    operations: Operations
    _random: random.Random = field(default_factory=lambda: random.Random(3))  # noqa: S311 (it decides nothing secret)

    async def run(self) -> float:
        """Make all the calls and say how many a second there were."""
        visitors = [_Visitor(self.operations, _FIRST + number) for number in range(PEOPLE)]
        for visitor in visitors:
            await visitor.arrive()
        plan = self._plan(visitors)
        begin = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(_CALLERS):
                group.create_task(self._call(plan))
        return CALLS / (time.perf_counter() - begin)

    def _plan(self, people: Sequence[_Visitor]) -> Iterator[tuple[str, _Visitor]]:
        names = self._random.choices(list(_SHARES), list(_SHARES.values()), k=CALLS)
        weights = [1 / (rank + 1) ** _FAVOURITES for rank in range(len(people))]
        return zip(names, self._random.choices(people, weights, k=CALLS), strict=True)

    async def _call(self, plan: Iterator[tuple[str, _Visitor]]) -> None:
        for name, visitor in plan:
            async with visitor.busy:
                await getattr(visitor, name)()
