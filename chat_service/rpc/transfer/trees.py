"""Trees of messages, as other systems keep conversations, as branches.

Where a message has several answers, the first one goes on along its branch, and each other begins one: a message and
what follows it is placed before the next of its siblings, so that siblings keep their order.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Generic, TypeVar
from uuid import UUID

from chat_service.models import TRUNK, Part, Role
from chat_service.rpc.transfer.reading import Maker, Refused
from chat_service.transfer_models import (
    NO_END,
    ImportEnd,
    Lineage,
    TransferBranch,
    TransferMessage,
    lineage,
)

MAX_BRANCHES: Final = 1_000
# A tree is held in memory as a whole, and looked through before its first message is read.
MAX_NODES: Final = 20_000

Place = tuple[int, int]
M = TypeVar("M")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a message of a tree says."""

    role: Role
    parts: tuple[Part, ...] = field(repr=False)
    weighs: int
    create_time: datetime


@dataclass(slots=True, kw_only=True)
class Node(Generic[M]):
    """A message of a tree by its name there."""

    name: str
    message: M = field(repr=False)
    children: "list[Node[M]]" = field(default_factory=list, repr=False)


@dataclass(frozen=True, slots=True)
class Before:
    """The message that another follows: its name, and when it was written."""

    name: str
    create_time: datetime


class Placing(Generic[M]):
    """Gives each message of a tree its place."""

    def __init__(self, maker: Maker, session_id: UUID, say: Callable[[Node[M], Before], Said | None]) -> None:
        """Begin with an empty trunk. What a message says is asked in its turn; of None only what follows it is kept."""
        self._maker, self._session_id, self._say = maker, session_id, say
        self._lineages: dict[int, Lineage] = {TRUNK: ((TRUNK, NO_END),)}
        self._leaves: dict[int, int] = {TRUNK: 0}
        self._count = 0
        self._active = TRUNK

    def place(self, roots: list[Node[M]], current: str | None) -> Iterator[TransferBranch | TransferMessage]:
        """Branches and messages; the branch of the message that is named as current becomes the active one."""
        begin = Before("", self._maker.create_time)
        waiting = [(root, (TRUNK, 0), begin) for root in reversed(roots)]
        while waiting:
            node, place, before = waiting.pop()
            said = self._say(node, before)
            if said is not None:
                if self._leaves[place[0]] != place[1]:
                    branch = self._branch(place, said.create_time)
                    yield branch
                    place = (branch.branch, branch.fork_depth)
                place, before = (place[0], place[1] + 1), Before(node.name, said.create_time)
                yield self._message(node.name, said, place)
            if node.name == current:
                self._active = place[0]
            waiting.extend((child, place, before) for child in reversed(node.children))

    def end(self, digest: bytes) -> ImportEnd:
        """What all of it comes to."""
        return ImportEnd(
            message_count=self._count,
            branch_count=len(self._leaves),
            active_branch=self._active,
            active_depth=self._leaves[self._active],
            digest=digest,
        )

    def _branch(self, place: Place, create_time: datetime) -> TransferBranch:
        """A new one, after a place that another message already follows."""
        number = len(self._leaves) + 1
        if number > MAX_BRANCHES:
            raise Refused(f"has more than {MAX_BRANCHES:,} branches")
        parent, depth = place
        self._lineages[number] = lineage(self._lineages[parent], depth, number)
        self._leaves[number] = depth
        return TransferBranch(
            branch=number,
            parent=parent,
            fork_depth=depth,
            lineage=self._lineages[number],
            session_id=self._session_id,
            create_time=create_time,
        )

    def _message(self, name: str, said: Said, place: Place) -> TransferMessage:
        self._count += 1
        self._leaves[place[0]] = place[1]
        return TransferMessage(
            id=self._maker.made(name, said.create_time),
            position=self._count,
            branch=place[0],
            depth=place[1],
            role=said.role,
            parts=said.parts,
            text_bytes=said.weighs,
            session_id=self._session_id,
            create_time=said.create_time,
        )
