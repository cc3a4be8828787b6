"""The proof that a query uses the indexes it names: its generic plan shows an Index Cond on each one's first column.

`make db-verify` asks it of the running databases, and a contract test of freshly migrated ones.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import asyncpg

from shared import sql
from shared.db import Record, explain
from shared.sql import Query
from tools.settings import ROOT

SERVICES = ("auth", "chat")

_NO_INDEX = "none"
_DETAILS = ("Index Cond", "Recheck Cond", "Hash Cond", "Merge Cond", "Filter", "Sort Key", "Conflict Arbiter Indexes")
_LEADING = """
SELECT i.relname AS name, pg_get_indexdef(i.oid, 1, true) AS leading
FROM pg_index x
INNER JOIN pg_class i ON i.oid = x.indexrelid
WHERE i.relnamespace = 'public'::regnamespace AND x.indisvalid
"""


class Planning(StrEnum):
    """How Postgres was brought to use an index."""

    AS_IS = "as planned"
    NO_SEQ_SCAN = "no seq scan"  # the table is so small that reading the whole of it is quicker


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """The node of a plan that uses an index."""

    node: str
    condition: str
    planning: Planning


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What the plan of a query shows of the indexes that the query names."""

    query: Query
    uses: Mapping[str, Use]
    plan: Mapping[str, Any]

    @property
    def missing(self) -> tuple[str, ...]:
        """What the query names and does not use."""
        return tuple(" or ".join(choice) for choice in choices(self.query) if self.uses.keys().isdisjoint(choice))


def queries(service: str) -> Iterator[Query]:
    """Every named query of a service, file by file."""
    for path in files(service):
        yield from sql.load(str(path))


def files(service: str) -> Sequence[Path]:
    """The `.sql` files of a service's store."""
    return sorted((ROOT / f"{service}_service" / "store").glob("*.sql"))


def choices(query: Query) -> tuple[tuple[str, ...], ...]:
    """The indexes that a query's header names; `a or b` where both serve alike, and statistics decide."""
    if query.index.split(maxsplit=1)[0].rstrip(",") == _NO_INDEX:
        return ()
    return tuple(tuple(name.strip() for name in choice.split(" or ")) for choice in query.index.split(","))


def named(query: Query) -> tuple[str, ...]:
    """The same in one list."""
    return tuple(name for choice in choices(query) for name in choice)


def reason(query: Query) -> str:
    """Why a query names no index, in the words of its header."""
    return query.index.removeprefix(_NO_INDEX).lstrip(", ").removeprefix("because").strip()


async def leading_columns(connection: "asyncpg.Connection[Record]") -> Mapping[str, str]:
    """The first column, or expression, of every valid index."""
    return {row["name"]: row["leading"] for row in await connection.fetch(_LEADING)}


async def prove(
    connection: "asyncpg.Connection[Record]",
    query: Query,
    leading: Mapping[str, str],
    plannings: Sequence[Planning] = tuple(Planning),
) -> Proof:
    """Plan a query, in one way after the other, until all the indexes that it names are found in use."""
    proof = Proof(query=query, uses={}, plan={})
    for planning in plannings:
        plan = await _plan(connection, query, planning)
        found = {name: _node(plan, name, leading.get(name, "")) for name in named(query)}
        uses = {
            name: Use(node=node["Node Type"], condition=node["Index Cond"], planning=planning)
            for name, node in found.items()
            if node is not None
        }
        proof = Proof(query=query, uses={**uses, **proof.uses}, plan=proof.plan or plan)
        if not proof.missing:
            break
    return proof


def lines(plan: Mapping[str, Any], depth: int = 0) -> Iterator[str]:
    """A plan as EXPLAIN prints it, without the estimates."""
    parts = [plan.get("Subplan Name", ""), plan.get("Operation", ""), plan["Node Type"]]
    target = " ".join(str(plan[key]) for key in ("Index Name", "Relation Name", "CTE Name") if key in plan)
    yield "  " * depth + " ".join(part for part in (*parts, target) if part)
    for key in _DETAILS:
        if key in plan:
            value = plan[key]
            yield "  " * depth + f"    {key}: {', '.join(value) if isinstance(value, list) else value}"
    for child in plan.get("Plans", ()):
        yield from lines(child, depth + 1)


async def _plan(connection: "asyncpg.Connection[Record]", query: Query, planning: Planning) -> dict[str, Any]:
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute("SET LOCAL jit = off")
        if planning is Planning.NO_SEQ_SCAN:
            await connection.execute("SET LOCAL enable_seqscan = off")
        return await explain(connection, query)
    finally:
        await transaction.rollback()


def _node(plan: Mapping[str, Any], index: str, leading: str, alias: str = "") -> Mapping[str, Any] | None:
    """The node that looks an index up by its first column."""
    alias = plan.get("Alias", alias)
    if plan.get("Index Name") == index and _constrains(plan.get("Index Cond", ""), leading, alias):
        return plan
    found = (_node(child, index, leading, alias) for child in plan.get("Plans", ()))
    return next((node for node in found if node is not None), None)


def _constrains(condition: str, leading: str, alias: str) -> bool:
    """Whether one of the clauses is about the first column; in a clause the index's column stands on the left."""
    own = re.sub(rf'(?<![\w."])"?{re.escape(alias)}"?\.(?=\w|")', "", condition) if alias else condition
    return bool(leading) and f"({leading} " in own.replace("(ROW(", "(").replace(f"({leading}, ", f"({leading} ")
