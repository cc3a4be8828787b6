"""Versions of a component compared: by line as a unified diff, by word as segments; and a bound for hostile texts."""

import re
from types import SimpleNamespace

import pytest
from grpc import StatusCode
from hypothesis import given, settings
from hypothesis import strategies as st

from chat_service import diffs
from protos.chat.v1 import component_service_pb2 as pb
from tests.chat.test_components import change
from tests.grpc_errors import code_of, failure

EQUAL, REMOVED, ADDED = pb.DIFF_OPERATION_EQUAL, pb.DIFF_OPERATION_REMOVED, pb.DIFF_OPERATION_ADDED
TEXT = "".join(f"line {number}\n" for number in range(20))


def compare(former, latter):
    return diffs._compare(("version 1", former), ("version 2", latter), diffs._Budget(diffs._STEPS, float("inf")))


def joined(segments, *operations):
    return "".join(segment.text for segment in segments if segment.operation in operations)


def lines(text):
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def patched(former, unified):
    """What `patch` makes of a text."""
    before, after, place = lines(former), [], 0
    body = lines(unified)[2:]
    for number, line in enumerate(body):
        bare = number + 1 < len(body) and body[number + 1].startswith("\\")
        said = line[1:-1] if bare else line[1:]
        match line[0]:
            case "@":
                begin, count = map(int, re.match(r"@@ -(\d+),(\d+)", line).groups())
                begin -= 1 if count else 0
                after += before[place:begin]
                place = begin
            case " ":
                assert before[place] == said
                after.append(said)
                place += 1
            case "-":
                assert before[place] == said
                place += 1
            case "+":
                after.append(said)
    return "".join(after + before[place:])


@pytest.fixture
async def made(ada):
    """A component with two versions."""
    built = await ada.build(await ada.converse(), content=TEXT)
    return (await ada.UpdateComponent(component=change(built, TEXT.replace("line 7\n", "line seven\n")))).component


async def test_the_lines_that_changed_are_told_with_three_around_them(ada, made):
    diff = await ada.DiffComponentVersions(component_id=made.id)
    assert (diff.from_version, diff.to_version) == (1, 2)
    assert diff.unified_diff == (
        "--- version 1\n+++ version 2\n@@ -5,7 +5,7 @@\n line 4\n line 5\n line 6\n-line 7\n+line seven\n"
        " line 8\n line 9\n line 10\n"
    )


async def test_both_texts_are_told_word_by_word(ada, made):
    diff = await ada.DiffComponentVersions(component_id=made.id)
    assert [(one.operation, one.text) for one in diff.segments if one.operation != EQUAL] == [
        (REMOVED, "7"),
        (ADDED, "seven"),
    ]
    assert joined(diff.segments, EQUAL, REMOVED) == TEXT
    assert joined(diff.segments, EQUAL, ADDED) == made.content


async def test_versions_are_compared_in_any_order_and_the_first_with_nothing(ada, made):
    back = await ada.DiffComponentVersions(component_id=made.id, from_version=2, to_version=1)
    assert "-line seven\n+line 7\n" in back.unified_diff
    first = await ada.DiffComponentVersions(component_id=made.id, to_version=1)
    assert (first.from_version, first.to_version) == (0, 1)
    assert [(one.operation, one.text) for one in first.segments] == [(ADDED, TEXT)]
    same = await ada.DiffComponentVersions(component_id=made.id, from_version=2, to_version=2)
    assert (same.unified_diff, [one.operation for one in same.segments]) == ("", [EQUAL])


async def test_versions_of_a_deleted_component_can_be_compared(ada, made):
    before = await ada.DiffComponentVersions(component_id=made.id)
    await ada.DeleteComponent(component_id=made.id)
    assert await ada.DiffComponentVersions(component_id=made.id) == before


@pytest.mark.parametrize(("former", "latter"), [(1, 3), (3, 1), (0, 4)])
async def test_a_version_that_never_was_is_not_found(ada, made, former, latter):
    refused = await failure(ada.DiffComponentVersions(component_id=made.id, from_version=former, to_version=latter))
    assert (refused.code, refused.reason) == (StatusCode.NOT_FOUND, "COMPONENT_VERSION_NOT_FOUND")


async def test_everything_wrong_with_a_comparison_is_told_at_once(ada):
    refused = await failure(ada.DiffComponentVersions(component_id="x", from_version=-1, to_version=-1))
    assert list(refused.violations) == ["component_id", "from_version", "to_version"]


async def test_segments_that_would_not_fit_are_left_out(ada):
    """R45. The unified diff of a million bytes is whole, and fits what clients take."""
    built = await ada.build(await ada.converse(), content="a\n" * 500_000)
    changed = (await ada.UpdateComponent(component=change(built, "b\n" * 500_000))).component
    diff = await ada.DiffComponentVersions(component_id=changed.id)
    assert (len(diff.segments), diff.segments_left_out) == (0, True)
    assert diff.unified_diff.count("\n-a") == diff.unified_diff.count("\n+b") == 500_000


async def test_a_comparison_ends_with_the_deadline_of_its_caller(ada):
    built = await ada.build(await ada.converse(), content=" ".join(map(str, range(120_000))))
    changed = (await ada.UpdateComponent(component=change(built, " ".join(map(str, range(120_000, 1, -1)))))).component
    request_class, call = ada._calls["DiffComponentVersions"]
    late = call(request_class(component_id=changed.id), metadata=ada._metadata, timeout=0.05)
    assert await code_of(late) is StatusCode.DEADLINE_EXCEEDED
    assert (await ada.GetComponent(component_id=changed.id)).component == changed


async def test_more_comparisons_than_may_wait_are_turned_away(chat, ada, monkeypatch):
    built = await ada.build(await ada.converse())
    monkeypatch.setattr(diffs, "_MAX_WAITING", 0)
    refused = await failure(ada.DiffComponentVersions(component_id=built.id))
    assert (refused.code, refused.reason) == (StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")


WRITTEN = st.text(st.sampled_from("ab \n\u00e9\u4e2d."), max_size=60)


@settings(max_examples=300, deadline=None)
@given(former=WRITTEN, latter=WRITTEN)
def test_a_diff_leads_from_any_text_to_any_other(former, latter):
    diff = compare(former, latter)
    assert patched(former, diff.unified) == latter
    assert joined(diff.segments, EQUAL, REMOVED) == former
    assert joined(diff.segments, EQUAL, ADDED) == latter


@settings(max_examples=200, deadline=None)
@given(former=st.lists(st.sampled_from("abc"), max_size=12), latter=st.lists(st.sampled_from("abc"), max_size=12))
def test_without_anchors_the_way_is_the_shortest(former, latter):
    """Against the longest common part, by the textbook's table."""
    table = [[0] * (len(latter) + 1) for _ in range(len(former) + 1)]
    for i, one in enumerate(former, 1):
        for j, other in enumerate(latter, 1):
            table[i][j] = table[i - 1][j - 1] + 1 if one == other else max(table[i - 1][j], table[i][j - 1])
    part = diffs._Range(0, len(former), 0, len(latter))
    equal = diffs._common(former, latter, part, SimpleNamespace(spend=lambda _: True))
    assert len(equal) == table[-1][-1]
    assert all(former[i] == latter[j] for i, j in equal)


HOSTILE = [
    ("ab" * 50_000, "ba" * 50_000),
    ("a\nb\n" * 50_000, "b\na\nc\n" * 50_000),
    (
        "".join(f"{n * 7919 % 100_003}\n" for n in range(100_000)),
        "".join(f"{n * 104_729 % 100_003}\n" for n in range(100_000)),
    ),
    (". " * 250_000, ", " * 250_000),
]


@pytest.mark.parametrize(("former", "latter"), HOSTILE)
def test_hostile_texts_are_compared_within_the_budget(former, latter):
    """The steps are counted, so that this cannot hang; the answer still leads from one to the other."""
    diff = compare(former, latter)
    assert patched(former, diff.unified) == latter
