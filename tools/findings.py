"""What `db-verify` finds in a service's database: facts of the catalogue and the statistics, and the proofs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from shared import sql
from shared.db import Record
from tools import plans
from tools.indexes import PROMISED, Index
from tools.measures import Measures
from tools.plans import Proof

queries = sql.load(__file__)

_MANY_ROWS = 1_000
_MANY_SCANS = 100
_LARGE_SHARE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexFacts:
    """An index as it is."""

    name: str
    table_name: str
    definition: str
    is_unique: bool
    is_partial: bool
    is_valid: bool
    scans: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFacts:
    """A table as it is, and what happened to it since the statistics began; hits and reads are of pages."""

    name: str
    rows: int
    dead: int
    sequential_scans: int
    index_scans: int
    updates: int
    hot_updates: int
    bytes: int
    table_hits: int
    table_reads: int
    index_hits: int
    index_reads: int

    @property
    def lacks_index(self) -> bool:
        """Whether it is large and often read as a whole."""
        scans = self.sequential_scans + self.index_scans
        return (
            self.rows >= _MANY_ROWS
            and self.sequential_scans >= _MANY_SCANS
            and self.sequential_scans > _LARGE_SHARE * scans
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The connections of a pool as Postgres sees them, and how many it may open."""

    name: str
    open: int
    active: int
    in_transaction: int
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All about the database of one service."""

    service: str
    indexes: Mapping[str, IndexFacts]
    tables: Sequence[TableFacts]
    bare_foreign_keys: Sequence[str]
    pools: Sequence[Pool]
    since: datetime
    proofs: Sequence[Proof]

    @property
    def promised(self) -> Sequence[Index]:
        """Those of the nineteen that this service owns."""
        return [index for index in PROMISED if index.service == self.service]

    def served(self, index: str) -> Sequence[Proof]:
        """The queries that an index serves, as their plans show."""
        return [proof for proof in self.proofs if index in proof.uses]

    @property
    def faults(self) -> Iterator[str]:
        """What breaks the promise, each in a sentence."""
        for index in self.promised:
            facts = self.indexes.get(index.name)
            if facts is None:
                yield f"{index.name} is missing: {index.purpose}."
            elif not facts.is_valid:
                yield f"{index.name} is not valid: drop it and build it again."
            elif not self.served(index.name):
                yield f"{index.name} is used by no query: {index.purpose}."
        for proof in self.proofs:
            for name in proof.missing:
                yield f"{proof.query.name} does not use {name}, which it names."
            if not plans.choices(proof.query) and not plans.reason(proof.query):
                yield f"{proof.query.name} names no index and does not say why."


async def find(service: str, url: str, measured: Measures) -> Findings:
    """Look at the database of a service, as its owner; nothing is changed."""
    connection = await asyncpg.connect(url, server_settings={"application_name": "db-verify"})
    try:
        indexes = [IndexFacts(**dict(row)) for row in await connection.fetch(queries.indexes.text)]
        leading = await plans.leading_columns(connection)
        bare = await connection.fetch(queries.bare_foreign_keys.text)
        return Findings(
            service=service,
            indexes={index.name: index for index in indexes},
            tables=[TableFacts(**dict(row)) for row in await connection.fetch(queries.tables.text)],
            bare_foreign_keys=[f"{row['name']} of {row['table_name']}" for row in bare],
            pools=[_pool(row, measured) for row in await connection.fetch(queries.connections.text)],
            since=await connection.fetchval(queries.statistics_begin.text),
            proofs=[await plans.prove(connection, query, leading) for query in plans.queries(service)],
        )
    finally:
        await connection.close()


def _pool(row: Record, measured: Measures) -> Pool:
    most = int(measured.total("parley_pool_connections", pool=row["pool"], state="max"))
    return Pool(
        name=row["pool"], open=row["open"], active=row["active"], in_transaction=row["in_transaction"], most=most
    )
