"""Collecting what is wrong with a request."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidFields
from shared.validation import Violations

ID = UUID("01900000-0000-7000-8000-00000000000a")


def told(violations: Violations) -> dict[str, str]:
    with pytest.raises(InvalidFields) as refused:
        violations.done()
    return {violation.field: violation.description for violation in refused.value.violations}


def test_a_request_without_violations_passes() -> None:
    assert Violations().done() is None


def test_every_violation_is_told_at_once_in_its_order() -> None:
    violations = Violations()
    violations.text("title", "x" * 11, longest=10)
    violations.id("id", "rubbish")
    violations.count("items", [], most=3)
    violations.add("other", "is wrong")
    assert list(told(violations)) == ["title", "id", "items", "other"]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("", "must be set"),
        ("x", "must have at least 2 characters"),
        ("x" * 6, "must have at most 5 characters"),
        ("a\0b", "must not contain U+0000"),
    ],
)
def test_a_text_out_of_its_limits_is_told_once(value: str, why: str) -> None:
    violations = Violations()
    violations.text("field", value, shortest=2, longest=5)
    assert told(violations) == {"field": why}


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20))
def test_a_text_within_its_limits_stays_as_it_is(value: str) -> None:
    """R45."""
    violations = Violations()
    assert violations.text("field", value, longest=20) == value
    assert violations.done() is None


@pytest.mark.parametrize("control", ["\0", "\t", "\n", "\r", "\x1b", "\x7f", "\x85", "\x9f"])
def test_a_line_has_no_control_characters(control: str) -> None:
    violations = Violations()
    violations.line("field", f"a{control}b", longest=1)
    assert told(violations) == {"field": "must not contain control characters"}


def test_a_line_may_have_any_script_and_joined_emoji() -> None:
    violations = Violations()
    for value in ("👩‍👩‍👧", "שלום", "a\u00adb", "\u2028"):
        assert violations.line("field", value, longest=10) == value
    assert violations.done() is None


@pytest.mark.parametrize("text", [str(ID), str(ID).upper()])
def test_an_id_may_be_written_in_either_case(text: str) -> None:
    assert Violations().id("id", text) == ID


@pytest.mark.parametrize(
    "text",
    ["x", f"{{{ID}}}", f"urn:uuid:{ID}", ID.hex, f" {ID}", f"{ID}\n", str(ID)[:-1], "\uff10" + str(ID)[1:], "\0"],
)
def test_another_spelling_of_an_id_is_refused(text: str) -> None:
    violations = Violations()
    violations.id("id", text)
    assert told(violations) == {"id": "must be a UUID"}


def test_an_id_that_may_be_left_out_is_none() -> None:
    violations = Violations()
    assert violations.optional_id("id", "") is None
    assert violations.optional_id("id", str(ID)) == ID
    violations.optional_id("id", "rubbish")
    assert told(violations) == {"id": "must be a UUID"}


def test_a_request_id_has_at_most_64_characters_and_may_be_left_out() -> None:
    assert Violations().request_id("") is None
    assert Violations().request_id("é" * 64) == "é" * 64
    violations = Violations()
    violations.request_id("x" * 65)
    assert told(violations) == {"request_id": "must have at most 64 characters"}


@pytest.mark.parametrize(("count", "fine"), [(0, False), (1, True), (3, True), (4, False)])
def test_a_number_of_items_has_its_limits(count: int, fine: bool) -> None:  # noqa: FBT001
    violations = Violations()
    violations.count("items", range(count), most=3)
    if fine:
        assert violations.done() is None
    else:
        assert told(violations) == {"items": "must have 1 to 3 items"}


@pytest.mark.parametrize(
    ("paths", "given_fields", "written"),
    [
        (["*"], [], {"title", "pinned"}),
        (["title"], ["pinned"], {"title"}),
        (["title", "title"], [], {"title"}),
        ([], ["title", "owner"], {"title"}),
        ([], [], set()),
    ],
)
def test_a_mask_says_what_to_write(paths: list[str], given_fields: list[str], written: set[str]) -> None:
    """AIP-134."""
    violations = Violations()
    assert violations.mask(paths, ("title", "pinned"), given_fields) == written
    assert violations.done() is None


@pytest.mark.parametrize("paths", [["owner"], ["title", "owner"], ["*", "title"], ["title.x"], [""], ["Title"]])
def test_a_mask_with_a_path_that_cannot_be_written_is_refused(paths: list[str]) -> None:
    """R39."""
    violations = Violations()
    violations.mask(paths, ("title", "pinned"), [])
    assert told(violations)["update_mask"].endswith("cannot be written; these can: pinned, title")
