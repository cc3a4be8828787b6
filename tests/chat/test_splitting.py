"""Files in pieces: documents are the same wherever the pieces end, and nothing large is held."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat_service.rpc.transfer.splitting import MAX_BYTES, Document, Elements, Lines, Splitter

TEXT = st.text(st.sampled_from('ab"\\{}[], \n\u00e9\U0001f600'), max_size=6)
VALUE = st.recursive(
    st.none() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
ELEMENTS = st.lists(st.dictionaries(TEXT, VALUE, max_size=4), max_size=5)


def split(splitter: Splitter, pieces: Iterable[bytes]) -> list[Document]:
    return [*(document for piece in pieces for document in splitter.feed(piece)), *splitter.end()]


def cut(data: bytes, size: int) -> Iterable[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


@given(elements=ELEMENTS, size=st.integers(1, 40), indent=st.sampled_from([None, 2]), ascii_=st.booleans())
def test_an_array_falls_into_its_elements(elements: list[Any], size: int, indent: int | None, *, ascii_: bool) -> None:
    data = json.dumps(elements, indent=indent, ensure_ascii=ascii_).encode()
    found = split(Elements(), cut(data, size))
    assert [json.loads(document.data) for document in found] == elements
    assert [document.number for document in found] == list(range(1, len(elements) + 1))


@given(elements=ELEMENTS, size=st.integers(1, 40), end=st.sampled_from(["\n", "\r\n", "\n\n"]))
def test_lines_are_documents(elements: list[Any], size: int, end: str) -> None:
    data = end.join(map(json.dumps, elements)).encode()
    assert [json.loads(document.data) for document in split(Lines(), cut(data, size))] == elements


@given(data=st.binary(max_size=60), size=st.integers(1, 10))
def test_whatever_bytes_come_the_pieces_do_not_matter(data: bytes, size: int) -> None:
    for kind in (Elements, Lines):
        assert split(kind(), cut(data, size)) == split(kind(), [data] if data else [])


@pytest.mark.parametrize(("splitter", "begin"), [(Elements(), b'[{"a": "'), (Lines(), b'{"a": "')])
def test_no_more_than_a_document_of_bounded_size_is_held(splitter: Elements | Lines, begin: bytes) -> None:
    held = splitter._element if isinstance(splitter, Elements) else splitter._line
    list(splitter.feed(begin))
    for _ in range(2 * MAX_BYTES // 65_536):
        assert list(splitter.feed(b"x" * 65_536)) == []
        assert len(held._data) <= MAX_BYTES
    assert held._data == b""
