"""Branches against a tree in memory: whatever is done, every list shows what the tree holds."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from protos.chat.v1 import resources_pb2 as pb
from tests.chat.trees import check_rows
from tests.chattest import ASSISTANT, USER, Chat, Person, chat_config, running_chat, running_stand_in_auth
from tests.servers import Servers, fresh_database

ROLES = st.sampled_from([USER, ASSISTANT])
SIZES = st.sampled_from([1, 2, 3, 200])
CHOICE = st.integers(min_value=0, max_value=2**16)


@dataclass(eq=False)
class Node:
    """A message: what came before it, and what came of it."""

    before: "Node | None"
    branch: int
    role: int
    text: str
    session_id: str
    replaces: "Node | None" = None
    id: str = ""
    deleted: bool = False
    rating: int = 0

    def path(self) -> "list[Node]":
        return [*(self.before.path() if self.before else []), self]

    @property
    def parts(self) -> list[pb.Part]:
        return [] if self.deleted else [pb.Part(text=self.text)]


@dataclass
class Tree:
    """The model: every message knows the one before it, every branch its last."""

    nodes: list[Node] = field(default_factory=list)
    leaves: dict[int, Node | None] = field(default_factory=lambda: {1: None})
    active: int = 1

    def add(self, node: Node) -> Node:
        self.nodes.append(node)
        self.leaves[node.branch] = node
        return node

    def path(self, branch: int) -> list[Node]:
        leaf = self.leaves[branch]
        return leaf.path() if leaf else []

    def siblings(self, node: Node) -> list[Node]:
        return [one for one in self.nodes if one.before is node.before]


class Machine(RuleBasedStateMachine):
    """Does the same to a conversation and to the model."""

    def __init__(self, runner: asyncio.Runner, chat: Chat) -> None:
        super().__init__()
        self._run, self._chat, self._tree = runner.run, chat, Tree()
        self._people = [chat.person("ada"), chat.person("ada")]
        self._requests: list[tuple[str, Any, Node]] = []

    @initialize()
    def converse(self) -> None:
        self._conversation = self._run(self._people[0].converse())

    @rule(role=ROLES, who=CHOICE, named=st.booleans())
    def send(self, role: int, who: int, *, named: bool) -> None:
        person, tree = self._people[who % 2], self._tree
        request = {"conversation_id": self._conversation.id, **self._said(named=named)}
        leaf = tree.leaves[tree.active]
        text = request["parts"][0].text
        node = Node(leaf, tree.active, role, text, person.session_id)
        self._wrote(tree.add(node), "SendMessage", {**request, "role": role}, person)

    @precondition(lambda self: self._tree.nodes)
    @rule(which=CHOICE, who=CHOICE, named=st.booleans())
    def edit(self, which: int, who: int, *, named: bool) -> None:
        person, tree = self._people[who % 2], self._tree
        edited = tree.nodes[which % len(tree.nodes)]
        if edited.deleted:
            return
        request = {"message_id": edited.id, **self._said(named=named)}
        tree.active = len(tree.leaves) + 1
        text = request["parts"][0].text
        node = Node(edited.before, tree.active, edited.role, text, person.session_id, edited)
        self._wrote(tree.add(node), "EditMessage", request, person)

    @rule(which=CHOICE)
    def switch(self, which: int) -> None:
        tree = self._tree
        tree.active = which % len(tree.leaves) + 1
        asked = self._people[0].SwitchBranch(conversation_id=self._conversation.id, branch=tree.active)
        assert self._run(_answer(asked)).conversation.active_branch == tree.active

    @precondition(lambda self: self._tree.nodes)
    @rule(which=CHOICE)
    def delete(self, which: int) -> None:
        node = self._tree.nodes[which % len(self._tree.nodes)]
        node.deleted, node.rating = True, 0
        self._same(node, self._run(_answer(self._people[0].DeleteMessage(message_id=node.id))).message)

    @precondition(lambda self: any(not node.deleted for node in self._tree.nodes))
    @rule(which=CHOICE, rating=st.sampled_from([0, 1, 2]))
    def rate(self, which: int, rating: int) -> None:
        living = [node for node in self._tree.nodes if not node.deleted]
        node = living[which % len(living)]
        node.rating = rating
        asked = self._people[0].SetFeedback(message_id=node.id, feedback=pb.Feedback(rating=rating))
        self._same(node, self._run(_answer(asked)).message)

    @precondition(lambda self: self._requests)
    @rule(which=CHOICE)
    def repeat(self, which: int) -> None:
        rpc, request, node = self._requests[which % len(self._requests)]
        self._same(node, self._run(_answer(getattr(self._people[1], rpc)(**request))).message)

    @rule(which=CHOICE, size=SIZES, descending=st.booleans(), role=st.sampled_from([0, USER, ASSISTANT]), who=CHOICE)
    def look(self, which: int, size: int, role: int, who: int, *, descending: bool) -> None:
        branch = which % (len(self._tree.leaves) + 1)  # 0 is the active one
        session = ("", *(person.session_id for person in self._people))[who % 3]
        wanted = [
            node
            for node in self._tree.path(branch or self._tree.active)
            if role in (0, node.role) and session in ("", node.session_id)
        ]
        question = {"branch": branch, "role": role, "session_id": session, "descending": descending, "page_size": size}
        found = self._run(self._list(**question))
        assert [one.id for one in found] == [node.id for node in (wanted[::-1] if descending else wanted)]
        for node, one in zip(wanted[::-1] if descending else wanted, found, strict=True):
            self._same(node, one)

    def teardown(self) -> None:
        if not hasattr(self, "_conversation"):
            return
        tree = self._tree
        asked = self._people[0].ListBranches(conversation_id=self._conversation.id, page_size=200)
        shown = self._run(_answer(asked)).branches
        assert [(b.branch, b.leaf_depth, b.active) for b in shown] == [
            (branch, len(tree.path(branch)), branch == tree.active) for branch in sorted(tree.leaves)
        ]
        self._run(check_rows(self._chat, self._conversation.id))

    def _said(self, *, named: bool) -> dict[str, Any]:
        number = str(len(self._tree.nodes))
        return {"parts": [pb.Part(text=f"said {number}")], "request_id": number if named else ""}

    def _wrote(self, node: Node, rpc: str, request: dict[str, Any], person: Person) -> None:
        written = self._run(_answer(getattr(person, rpc)(**request))).message
        node.id = written.id
        assert written.position == len(self._tree.nodes)
        self._same(node, written)
        if request["request_id"]:
            self._requests.append((rpc, request, node))

    async def _list(self, **question: Any) -> list[pb.Message]:
        token, found = "", []
        while True:
            page = await self._people[0].ListMessages(
                conversation_id=self._conversation.id, page_token=token, **question
            )
            found += page.messages
            token = page.next_page_token
            if not token:
                return found

    def _same(self, node: Node, shown: pb.Message) -> None:
        siblings = self._tree.siblings(node)
        place = siblings.index(node)
        assert (shown.id, shown.branch, shown.depth) == (node.id, node.branch, len(node.path()))
        assert (shown.role, shown.session_id, list(shown.parts)) == (node.role, node.session_id, node.parts)
        assert (shown.HasField("delete_time"), shown.feedback.rating) == (node.deleted, node.rating)
        assert shown.replaced_message_id == (node.replaces.id if node.replaces else "")
        assert (shown.sibling_index, shown.sibling_count) == (place + 1, len(siblings))
        assert shown.previous_sibling_branch == (siblings[place - 1].branch if place else 0)
        assert shown.next_sibling_branch == (siblings[place + 1].branch if place + 1 < len(siblings) else 0)


async def _answer(call: Any) -> Any:
    return await call


def _machines(servers: Servers) -> Iterator[Any]:
    """What makes machines on one chat service, in a loop of its own: Hypothesis calls from outside of one."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()

        async def begin() -> Chat:
            database = await stack.enter_async_context(fresh_database(servers, "chat"))
            target = await stack.enter_async_context(running_stand_in_auth())
            config = chat_config(database, servers.redis.url, target)
            return await stack.enter_async_context(running_chat(database, config))

        chat = runner.run(begin())
        try:
            yield lambda: Machine(runner, chat)
        finally:
            runner.run(stack.aclose())


def test_every_list_is_the_trees_whatever_is_done_to_it(servers: Servers) -> None:
    for make in _machines(servers):
        run_state_machine_as_test(
            make,
            settings=settings(
                max_examples=30, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )
