"""Our own format, read: each line is one record, and the lines of a conversation follow its first one, to its end.

What cannot be is refused: positions, depths and versions without gaps are what all else here relies on.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from chat_service.models import TRUNK
from chat_service.rpc.transfer import reading
from chat_service.rpc.transfer import records as shapes
from chat_service.rpc.transfer.reading import Maker, Origin, Read, Refusal, Refused
from chat_service.rpc.transfer.splitting import Document
from chat_service.rpc.transfer.trees import MAX_BRANCHES
from chat_service.transfer_models import (
    NO_END,
    ImportEnd,
    Lineage,
    NewImport,
    Record,
    TransferBranch,
    TransferComponent,
    TransferInteraction,
    TransferLink,
    TransferMessage,
    TransferVersion,
    lineage,
)

if TYPE_CHECKING:
    from _hashlib import HASH

MAX_MESSAGES: Final = 10_000_000
MAX_COMPONENTS: Final = 10_000
MAX_LINKS: Final = 10_000
_NONE_OPEN: Final = "a line that begins no conversation follows the end of one"
_CUT_OFF: Final = "the file ends in the middle of it"


class Parley:
    """Reads lines; what is wrong with one spoils its conversation, and the next one is read."""

    def __init__(self, origin: Origin) -> None:
        """Read a file of this origin."""
        self._origin = origin
        self._open: _Conversation | None = None
        self._stray = False

    def read(self, document: Document) -> Iterator[Read]:
        """What a line says."""
        try:
            if document.problem:
                raise Refused(document.problem)
            line = reading.decode(document.data, shapes.Line)
            if line.conversation is not None:
                yield from self.end()
                self._open = _Conversation(self._origin, line.conversation)
                yield self._open.begin(document.data)
            elif self._open is None:
                raise Refused(_NONE_OPEN)
            elif line.end is not None:
                end = self._open.end(line.end)
                self._open = None
                yield end
            else:
                yield self._open.record(line, document.data)
        except Refused as refused:
            yield from self._refuse(refused.reasons)

    def end(self) -> Iterator[Read]:
        """That the last conversation was not whole."""
        if self._open is not None:
            yield from self._refuse([_CUT_OFF])
        self._stray = False

    def _refuse(self, reasons: list[str]) -> Iterator[Read]:
        """Refuse the conversation under way; of lines that belong to none, only the first is told of."""
        refused, self._open = self._open, None
        if refused is not None:
            yield Refusal(external_id=refused.external_id, title=refused.title, reasons=reasons)
        elif not self._stray:
            yield Refusal(external_id="", title="", reasons=reasons)
        self._stray = True


@dataclass(slots=True)
class _Branch:
    """How far a branch has been read; the position of its last message, and of the one that it begins after."""

    leaf: int
    position: int = 0


class _Conversation:
    """One conversation under way: what has been read of it decides what may follow."""

    def __init__(self, origin: Origin, told: shapes.ConversationLine) -> None:
        self._origin, self._told = origin, told
        self.external_id, self.title = str(told.id), told.title[: reading.MAX_TITLE]
        self._maker = Maker(told.create_time)
        self._digest: HASH = sha256()
        self._branches = {TRUNK: _Branch(0)}
        self._lineages: dict[int, Lineage] = {TRUNK: ((TRUNK, NO_END),)}
        # The places after which branches begin: the position of the message there, once it has been read.
        self._forks: dict[tuple[int, int], int] = {}
        self._begin: dict[int, tuple[int, int]] = {}
        self._positions = bytearray()
        self._count = self._components = self._links = 0
        self._names: set[str] = set()
        self._component: TransferComponent | None = None
        self._versions = 0
        self._last: tuple[int, int] = (0, 0)
        self._records: Mapping[str, Callable[[Any], Record]] = {
            "branch": self._branch,
            "message": self._message,
            "component": self._new_component,
            "component_version": self._version,
            "interaction": self._interaction,
            "session": self._link,
        }

    def begin(self, data: bytes) -> NewImport:
        """Its settings."""
        told = self._told
        self._digest.update(data)
        if told.message_count > MAX_MESSAGES:
            raise Refused(f"message_count: must be at most {MAX_MESSAGES:,}")
        shapes.check_text("title", told.title, reading.MAX_TITLE)
        return NewImport(
            id=self._maker.id,
            source=self._origin.source,
            external_id=self.external_id,
            title=told.title,
            pinned=told.pinned,
            archived=told.archived,
            metadata=reading.metadata(bytes(told.metadata)),
            model_defaults=reading.model_defaults(bytes(told.model_defaults)),
            create_time=self._maker.create_time,
            delete_time=self._maker.moment(told.delete_time, self._maker.create_time) if told.delete_time else None,
            own_id=told.id,
        )

    def record(self, line: shapes.Line, data: bytes) -> Record:
        """What a line between the first and the last says."""
        kind, told = line.record()
        self._digest.update(data)
        if kind != "component_version":
            self._complete()
        return self._records[kind](told)

    def end(self, told: shapes.EndLine) -> ImportEnd:
        """What all of it comes to."""
        self._complete()
        if not self._count == self._told.message_count == told.message_count:
            raise Refused(f"{self._told.message_count:,} messages were announced, and {self._count:,} are there")
        if self._positions.count(1) != self._count or len(self._positions) != self._count:
            raise Refused("messages: positions must be 1 to message_count")
        active = self._branches.get(self._told.active_branch)
        if active is None or len(self._branches) != self._told.branch_count:
            raise Refused("branches: the active one is not there, or there are not branch_count")
        return ImportEnd(
            message_count=self._count,
            branch_count=len(self._branches),
            active_branch=self._told.active_branch,
            active_depth=active.leaf,
            digest=self._digest.digest(),
        )

    def _branch(self, told: shapes.BranchLine) -> TransferBranch:
        number = len(self._branches) + 1
        known = 1 <= told.parent < number and (told.fork_depth > 0 or told.parent == TRUNK)
        begins = self._branches[told.parent].leaf if known and told.parent != TRUNK else 0
        if told.branch != number or number > MAX_BRANCHES or self._count or not known:
            raise Refused(f"branch {told.branch}: must be the next, after a known parent, and before all messages")
        if not (begins < told.fork_depth or (told.parent == TRUNK and told.fork_depth >= 0)):
            raise Refused(f"branch {told.branch}: its parent must own the message at fork_depth")
        self._branches[number] = _Branch(told.fork_depth)
        self._lineages[number] = lineage(self._lineages[told.parent], told.fork_depth, number)
        self._begin[number] = (told.parent, told.fork_depth)
        if told.fork_depth:
            self._forks[told.parent, told.fork_depth] = 0
        return TransferBranch(
            branch=number,
            parent=told.parent,
            fork_depth=told.fork_depth,
            lineage=self._lineages[number],
            session_id=told.session_id,
            create_time=self._maker.moment(told.create_time, self._maker.create_time),
        )

    def _message(self, told: shapes.MessageLine) -> TransferMessage:
        branch = self._place(told)
        parts, weighs = told.said()
        branch.leaf, branch.position = told.depth, told.position
        if (told.branch, told.depth) in self._forks:
            self._forks[told.branch, told.depth] = told.position
        self._count += 1
        moment = self._maker.moment(told.create_time, self._maker.create_time)
        return TransferMessage(
            id=self._maker.renamed(told.id),
            position=told.position,
            branch=told.branch,
            depth=told.depth,
            role=told.role_here(),
            parts=parts,
            text_bytes=weighs,
            session_id=told.session_id,
            create_time=moment,
            delete_time=self._maker.moment(told.delete_time, moment) if told.delete_time else None,
            replaces=self._maker.renamed(told.replaces) if told.replaces else None,
            feedback=told.feedback.model() if told.feedback else None,
        )

    def _place(self, told: shapes.MessageLine) -> _Branch:
        """The branch that a message is at the end of; raises Refused where it cannot stand where it says."""
        branch = self._branches.get(told.branch)
        if branch is None or told.depth != branch.leaf + 1 or (told.branch, told.depth) <= self._last:
            raise Refused(f"message {told.id}: must stand at the next depth of a known branch")
        self._last = (told.branch, told.depth)
        if not branch.position and told.branch != TRUNK:
            fork = self._begin[told.branch]
            branch.position = self._forks[fork] if fork[1] else 0
            if fork[1] and not branch.position:
                raise Refused(f"branch {told.branch}: the message that it begins after is not there")
        if not branch.position < told.position <= self._told.message_count:
            raise Refused(f"message {told.id}: its position must be later than that of the message before it")
        self._positions.extend(bytes(max(told.position - len(self._positions), 0)))
        if self._positions[told.position - 1]:
            raise Refused(f"message {told.id}: its position is another's")
        self._positions[told.position - 1] = 1
        return branch

    def _new_component(self, told: shapes.ComponentLine) -> TransferComponent:
        self._components += 1
        shapes.check_component(told)
        if self._components > MAX_COMPONENTS:
            raise Refused(f"has more than {MAX_COMPONENTS:,} components")
        if told.delete_time is None:
            if told.name in self._names:
                raise Refused(f"component {told.id}: another one has its name")
            self._names.add(told.name)
        moment = self._maker.moment(told.create_time, self._maker.create_time)
        self._component, self._versions = (
            TransferComponent(
                id=self._maker.renamed(told.id),
                name=told.name,
                type=told.type,
                version=told.version,
                session_id=told.session_id,
                create_time=moment,
                update_time=self._maker.moment(told.update_time, moment),
                delete_time=self._maker.moment(told.delete_time, moment) if told.delete_time else None,
            ),
            0,
        )
        return self._component

    def _version(self, told: shapes.VersionLine) -> TransferVersion:
        component = self._component
        if component is None or self._maker.renamed(told.component_id) != component.id:
            raise Refused(f"component_version: must follow its component, {told.component_id}")
        self._versions += 1
        if told.version != self._versions or told.version > component.version:
            raise Refused(f"component {told.component_id}: versions must be 1 to that of the component, in order")
        shapes.check_content(told)
        return TransferVersion(
            component_id=component.id,
            version=told.version,
            content=told.content,
            session_id=told.session_id,
            create_time=self._maker.moment(told.create_time, component.create_time),
        )

    def _complete(self) -> None:
        """Refuse a component that lacks versions."""
        if self._component is not None and self._versions != self._component.version:
            raise Refused(f"component {self._component.name[:60]!r}: {self._versions} of its versions are there")
        self._component = None

    def _interaction(self, told: shapes.InteractionLine) -> TransferInteraction:
        return told.read(self._maker)

    def _link(self, told: shapes.SessionLine) -> TransferLink:
        self._links += 1
        if self._links > MAX_LINKS or not 0 <= told.read_position <= self._count:
            raise Refused(
                f"session {told.session_id}: is one of more than {MAX_LINKS:,}, or has read what is not there"
            )
        moment = self._maker.moment(told.create_time, self._maker.create_time)
        update_time = self._maker.moment(told.update_time, moment)
        return TransferLink(
            session_id=told.session_id, read_position=told.read_position, create_time=moment, update_time=update_time
        )
