"""Named queries. They live in `.sql` files beside their store, each under a header that says what it takes and uses.

-- name: find_by_email
-- $1 the address, normalised
-- index: idx_users_email
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_HEADER = re.compile(r"^-- name: *(\w+) *$", re.MULTILINE)
_INDEX = re.compile(r"^-- index: *(.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """One statement, its label in metrics and logs (`users.find_by_email`), and the index that serves it."""

    name: str
    text: str
    index: str


class Queries:
    """The queries of one file, as attributes by their names."""

    def __init__(self, queries: dict[str, Query]) -> None:
        """Keep the queries by their short names."""
        self._queries = queries

    def __getattr__(self, name: str) -> Query:
        """The query of that name."""
        try:
            return self._queries[name]
        except KeyError:
            raise AttributeError(f"no query named {name}") from None

    def __iter__(self) -> Iterator[Query]:
        """Every query of the file."""
        return iter(self._queries.values())


def load(module_file: str) -> Queries:
    """The queries of the `.sql` file beside a store's module: `load(__file__)`."""
    path = Path(module_file).with_suffix(".sql")
    queries: dict[str, Query] = {}
    for name, query in _parse(path):
        if name in queries:
            raise ValueError(f"{path.name}: {name} stands twice")
        queries[name] = query
    return Queries(queries)


def _parse(path: Path) -> Iterator[tuple[str, Query]]:
    parts = _HEADER.split(path.read_text())
    for name, body in zip(parts[1::2], parts[2::2], strict=True):
        index = _INDEX.search(body)
        if index is None:
            raise ValueError(f"{path.name}: {name} does not say which index it uses")
        text = "\n".join(line for line in body.splitlines() if not line.startswith("--")).strip().rstrip(";")
        yield name, Query(f"{path.stem}.{name}", text, index.group(1).strip())
