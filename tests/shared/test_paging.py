"""Page tokens: good for their own question, and for nothing that anybody else writes."""

import base64
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import paging
from shared.crypto import KeyRing
from shared.errors import InvalidFields
from shared.paging import PageTokens

TOKENS = PageTokens(KeyRing(os.urandom(32)).macs("pages"))
parts = st.lists(st.text(max_size=20) | st.integers(-(2**53), 2**53), min_size=1, max_size=5).map(tuple)


def refused(tokens: PageTokens, scope: tuple[str | int, ...], token: str) -> bool:
    with pytest.raises(InvalidFields) as failed:
        tokens.read(scope, token)
    return [violation.field for violation in failed.value.violations] == ["page_token"]


@given(scope=parts, cursor=parts)
def test_a_token_gives_its_cursor_back_to_the_question_it_was_given_for(scope, cursor) -> None:
    assert TOKENS.read(scope, TOKENS.write(scope, cursor)) == cursor


@given(scope=parts, other=parts, cursor=parts)
def test_a_token_is_refused_for_any_other_question(scope, other, cursor) -> None:
    token = TOKENS.write(scope, cursor)
    if scope == other:
        assert TOKENS.read(other, token) == cursor
    else:
        assert refused(TOKENS, other, token)


@given(scope=parts, cursor=parts, place=st.integers(0, 1000), flip=st.integers(1, 255))
def test_a_token_with_one_changed_byte_is_refused(scope, cursor, place: int, flip: int) -> None:
    text = TOKENS.write(scope, cursor)
    raw = bytearray(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    raw[place % len(raw)] ^= flip
    assert refused(TOKENS, scope, base64.urlsafe_b64encode(bytes(raw)).decode().rstrip("="))


@given(st.text(min_size=1))
def test_a_text_that_is_no_token_is_refused(text: str) -> None:
    assert refused(TOKENS, ("ListThings",), text)


def test_a_token_under_another_key_is_refused() -> None:
    token = PageTokens(KeyRing(os.urandom(32)).macs("pages")).write(("ListThings",), (1,))
    assert refused(TOKENS, ("ListThings",), token)


def test_no_part_of_a_question_can_pass_for_another() -> None:
    token = TOKENS.write(("a", "b"), (1,))
    for other in (("a,b",), ("a", "b", ""), ('a","b',), ("ab",), ("b", "a")):
        assert refused(TOKENS, other, token)


def test_no_token_is_the_first_page() -> None:
    assert TOKENS.read(("ListThings",), "") is None


@pytest.mark.parametrize(("asked", "size"), [(0, 50), (1, 1), (200, 200), (201, 200), (2**31 - 1, 200)])
def test_a_page_is_as_large_as_asked_within_its_limit(asked: int, size: int) -> None:
    assert paging.page_size(asked) == size


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(InvalidFields, match="page_size: must not be negative"):
        paging.page_size(-1)
