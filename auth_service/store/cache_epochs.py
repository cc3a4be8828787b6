"""The epoch of the shared cache, in Postgres."""

from shared import sql
from shared.cache import Epoch
from shared.db import Executor, Record
from shared.errors import Unavailable

queries = sql.load(__file__)


class CacheEpochs:
    """Reads and raises the epoch, on connections that busy callers cannot use up."""

    def __init__(self, executor: Executor) -> None:
        """Use the control pool."""
        self._executor = executor

    async def read(self) -> Epoch:
        """The present epoch."""
        return _epoch(await self._executor.fetch_one(queries.read))

    async def advance(self, server_id: str | None) -> Epoch:
        """Raise the epoch, in the name of a server where one is given."""
        return _epoch(await self._executor.fetch_one(queries.advance, server_id))


def _epoch(row: Record | None) -> Epoch:
    if row is None:
        raise Unavailable
    return Epoch(epoch=row["epoch"], server_id=row["server_id"], age=row["age"])
