"""What must hold of a conversation's rows whatever has happened: the invariants of the stores, told once more."""

from collections import defaultdict
from itertools import pairwise
from typing import Any

from tests.chattest import Chat
from tests.servers import fetch

TRUNK = 1
NO_END = 2**63 - 1


async def check_rows(chat: Chat, conversation_id: str) -> None:
    """Positions, revisions, depths, branches and the active leaf of one conversation."""
    (conversation,) = await _rows(chat, "conversations", "id", conversation_id)
    messages = await _rows(chat, "chat_messages", "conversation_id", conversation_id, "position")
    branches = await _rows(chat, "conversation_branches", "conversation_id", conversation_id, "branch")
    count = conversation["message_count"]
    assert [row["position"] for row in messages] == list(range(1, count + 1))
    assert [row["branch"] for row in branches] == list(range(2, conversation["branch_count"] + 1))
    stamps = [row["revision"] for row in (*messages, *branches)]
    assert len(set(stamps)) == len(stamps)
    assert max(stamps, default=1) <= conversation["revision"]
    own: dict[int, dict[int, int]] = defaultdict(dict)
    for row in messages:
        assert row["depth"] not in own[row["branch"]]
        own[row["branch"]][row["depth"]] = row["position"]
    lineages = {TRUNK: [(TRUNK, NO_END)]}
    for row in branches:
        lineages[row["branch"]] = _lineage_of(row)
        _check_fork(row, lineages, own)
    leaves = {branch: _check_path(lineage, own) for branch, lineage in lineages.items()}
    assert conversation["active_depth"] == leaves[conversation["active_branch"]]


def _lineage_of(branch: Any) -> list[tuple[int, int]]:
    return list(zip(branch["lineage_branches"], branch["lineage_depths"], strict=True))


def _check_fork(branch: Any, lineages: dict[int, list[tuple[int, int]]], own: dict[int, dict[int, int]]) -> None:
    """It leaves its parent at a message of the parent's own, and goes along the parent's path before."""
    parent, depth = branch["parent"], branch["fork_depth"]
    assert depth in own[parent] or (depth, parent) == (0, TRUNK)
    shared = [(one, min(last, depth)) for one, last in lineages[parent]] if depth else []
    assert lineages[branch["branch"]] == [*shared, (branch["branch"], NO_END)]
    assert sorted(own[branch["branch"]]) == list(range(depth + 1, depth + 1 + len(own[branch["branch"]])))


def _check_path(lineage: list[tuple[int, int]], own: dict[int, dict[int, int]]) -> int:
    """Depths without a gap, positions that grow; answers with the leaf's depth."""
    path = {depth: position for branch, last in lineage for depth, position in own[branch].items() if depth <= last}
    assert sorted(path) == list(range(1, len(path) + 1))
    assert all(path[before] < path[after] for before, after in pairwise(sorted(path)))
    return len(path)


async def _rows(chat: Chat, table: str, column: str, conversation_id: str, order: str = "id") -> list[Any]:
    query = f"SELECT * FROM {table} WHERE {column} = $1 ORDER BY {order}"
    return await fetch(chat.database.owner_url, query, conversation_id)
