"""Named queries out of `.sql` files."""

from pathlib import Path

import pytest

from shared import sql

TEXT = """
-- What stands before the first name is for readers.
-- name: find
-- Finds one.
-- $1 the id
-- index: things_pkey
SELECT id -- not the name
FROM things
WHERE id = $1;

-- name: insert
-- index: none, because it only inserts
INSERT INTO things (id) VALUES ($1);
"""


def load(tmp_path: Path, text: str) -> sql.Queries:
    (tmp_path / "things.sql").write_text(text)
    return sql.load(str(tmp_path / "things.py"))


def test_each_query_is_an_attribute_with_its_label_text_and_index(tmp_path: Path) -> None:
    queries = load(tmp_path, TEXT)
    assert queries.find.name == "things.find"
    assert queries.find.text == "SELECT id -- not the name\nFROM things\nWHERE id = $1"
    assert queries.find.index == "things_pkey"
    assert [query.name for query in queries] == ["things.find", "things.insert"]


def test_an_unknown_name_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(AttributeError, match="no query named delete"):
        load(tmp_path, TEXT).delete  # noqa: B018


def test_a_query_that_does_not_say_its_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"things\.sql: find does not say which index it uses"):
        load(tmp_path, "-- name: find\nSELECT 1;")


def test_a_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"things\.sql: find stands twice"):
        load(tmp_path, "-- name: find\n-- index: none\nSELECT 1;\n-- name: find\n-- index: none\nSELECT 2;")
