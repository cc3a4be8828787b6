"""Message trees of OpenAssistant, one in a line: a prompt, and replies to replies. None of them is the current one."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from typing import Final

import msgspec

from chat_service.models import Role
from chat_service.rpc.transfer import reading
from chat_service.rpc.transfer.reading import Maker, Origin, Read, Refusal, Refused
from chat_service.rpc.transfer.splitting import Document
from chat_service.rpc.transfer.trees import MAX_NODES, Before, Node, Placing, Said
from chat_service.transfer_models import NewImport

_ROLES: Final = {"prompter": Role.USER, "assistant": Role.ASSISTANT, "system": Role.SYSTEM}


class _Message(msgspec.Struct):
    message_id: str
    text: str
    role: str
    created_date: datetime | None = None
    replies: "list[_Message]" = []


class _Tree(msgspec.Struct):
    prompt: _Message
    message_tree_id: str | None = None


@dataclass(slots=True)
class Oasst:
    """Reads each line as a conversation."""

    origin: Origin

    def read(self, document: Document) -> Iterator[Read]:
        """What a line says."""
        external_id = title = ""
        try:
            if document.problem:
                raise Refused(document.problem)
            tree = reading.decode(document.data, _Tree)
            name = tree.message_tree_id or tree.prompt.message_id
            external_id, title = name[: reading.MAX_EXTERNAL_ID], reading.title(tree.prompt.text[:1_000])
            if not name or external_id != name or "\0" in name:
                raise Refused(f"message_tree_id: must have 1 to {reading.MAX_EXTERNAL_ID} characters")
            maker = Maker(_moment(tree.prompt))
            yield NewImport(
                id=maker.id,
                source=self.origin.source,
                external_id=name,
                title=title,
                pinned=False,
                archived=False,
                metadata=reading.metadata({"oasst": {"id": name}}),
                create_time=maker.create_time,
            )
            placing = Placing(maker, self.origin.session_id, partial(_say, maker))
            yield from placing.place([_root(tree.prompt)], None)
            yield placing.end(sha256(document.data).digest())
        except Refused as refused:
            yield Refusal(external_id=external_id, title=title, reasons=refused.reasons)

    def end(self) -> Iterator[Read]:
        """Nothing is left."""
        return iter(())


def _root(prompt: _Message) -> Node[_Message]:
    """The tree, in our form; raises Refused where two messages have one id."""
    root = Node(name=prompt.message_id, message=prompt)
    names, waiting = {prompt.message_id}, [root]
    while waiting:
        node = waiting.pop()
        node.children = [Node(name=reply.message_id, message=reply) for reply in node.message.replies]
        for child in node.children:
            if child.name in names:
                raise Refused(f"replies: {child.name[:60]} is there twice")
            names.add(child.name)
        if len(names) > MAX_NODES:
            raise Refused(f"replies: there are more than {MAX_NODES:,} messages")
        waiting.extend(node.children)
    return root


def _say(maker: Maker, node: Node[_Message], before: Before) -> Said | None:
    message = node.message
    role = _ROLES.get(message.role)
    if role is None:
        raise Refused(f"{node.name[:60]}: {message.role[:30]!r} is no known role")
    if not message.text:
        return None
    said, weighs = reading.said(reading.texts(message.text), f"{node.name[:60]}.")
    moment = maker.moment(_moment(message), before.create_time)
    return Said(role=role, parts=said, weighs=weighs, create_time=moment)


def _moment(message: _Message) -> datetime | None:
    """A time without a zone is UTC's."""
    told = message.created_date
    return told if told is None or told.tzinfo else told.replace(tzinfo=UTC)
