"""What an answer costs, by the list that we ship and by one of the operator's own."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat_service.models import Usage
from chat_service.prices import Prices

OURS = Prices.read()
TOKENS = st.integers(min_value=0, max_value=10_000_000)


def own(tmp_path: Path, versions: object) -> Path:
    path = tmp_path / "prices.json"
    path.write_text(json.dumps({"versions": versions}))
    return path


def test_each_class_of_tokens_has_its_price() -> None:
    usage = Usage(input_tokens=1_000, cached_input_tokens=600, output_tokens=300, reasoning_tokens=200)
    priced = OURS.priced("gpt-6-sol", usage)
    assert priced.cost_micros == 400 * 2 + 120 + 300 * 10
    assert priced.price_version == OURS.newest
    assert (priced.input_tokens, priced.output_tokens, priced.reasoning_tokens) == (1_000, 300, 200)


def test_a_provider_that_counts_more_cached_tokens_than_it_read_gives_nothing_back() -> None:
    usage = Usage(input_tokens=0, cached_input_tokens=1_000)
    assert OURS.priced("gpt-6-sol", usage).cost_micros == 200


def test_the_local_model_costs_nothing_by_a_version() -> None:
    priced = OURS.priced("smollm2-135m-instruct", Usage(input_tokens=500, output_tokens=100))
    assert (priced.cost_micros, priced.price_version) == (0, OURS.newest)


@pytest.mark.parametrize("model", ["nobody-knows-it", "", "gpt-6-sol-mini", "2026-11-01"])
def test_an_unknown_model_has_no_cost_and_no_version(model: str) -> None:
    before = Usage(input_tokens=500, output_tokens=100, cost_micros=7, price_version="of the caller")
    priced = OURS.priced(model, before)
    assert (priced.cost_micros, priced.price_version) == (0, "")
    assert priced.input_tokens == 500


@pytest.mark.parametrize(
    "name", ["gpt-6-luna", "gpt-6-luna-2026-09-22", "openai/gpt-6-luna", "x/y/gpt-6-luna-20260922"]
)
def test_a_model_is_known_with_its_provider_and_its_day(name: str) -> None:
    assert OURS.priced(name, Usage(output_tokens=1_000)).cost_micros == 500


@pytest.mark.parametrize(("prompt", "micros"), [(272_000, 544_000 + 10), (272_001, 1_088_004 + 15)])
def test_a_long_prompt_is_in_another_band_as_a_whole(prompt: int, micros: int) -> None:
    assert OURS.priced("gpt-6-sol", Usage(input_tokens=prompt, output_tokens=1)).cost_micros == micros


def test_a_prompt_longer_than_the_list_knows_has_no_cost() -> None:
    assert OURS.priced("gpt-6.1-sol", Usage(input_tokens=272_000)).cost_micros == 544_000
    assert OURS.priced("gpt-6.1-sol", Usage(input_tokens=272_001)).price_version == ""


@pytest.mark.parametrize(("tokens", "micros"), [(1, 0), (4, 0), (5, 1), (14, 1), (15, 2)])
def test_a_cost_is_rounded_once_to_the_nearest_and_a_half_up(tokens: int, micros: int) -> None:
    assert OURS.priced("claude-haiku-5-5", Usage(input_tokens=tokens)).cost_micros == micros


@given(fresh=TOKENS, cached=TOKENS, output=TOKENS)
def test_a_cost_is_within_half_a_micro_of_the_exact_one(fresh: int, cached: int, output: int) -> None:
    usage = Usage(input_tokens=fresh + cached, cached_input_tokens=cached, output_tokens=output)
    thousandths = fresh * 250 + cached * 25 + output * 2_000
    assert abs(OURS.priced("gpt-5-mini", usage).cost_micros * 1_000 - thousandths) <= 500


def test_a_list_of_ones_own_takes_the_place_of_ours_and_its_newest_version_counts(tmp_path: Path) -> None:
    band = {"cached_input": 0.5, "output": 3}
    path = own(tmp_path, {"2026-12": {"mine": [band | {"input": 1.5}]}, "2026-11": {"mine": [band | {"input": 1}]}})
    prices = Prices.read(path)
    usage = Usage(input_tokens=10, output_tokens=1)
    assert prices.priced("mine", usage).cost_micros == 18
    assert prices.priced("mine", usage).price_version == "2026-12"
    assert prices.priced("mine", usage, "2026-11").cost_micros == 13
    assert prices.priced("mine", usage, "2026-10").price_version == ""
    assert prices.priced("gpt-6-sol", usage).price_version == ""


BAND = {"input": "1", "cached_input": "1", "output": "1"}


@pytest.mark.parametrize(
    ("versions", "sentence"),
    [
        ({}, "at least one version"),
        ({"": {}}, "no name of 1 to 64"),
        ({"1": {"mine": []}}, "mine of version 1 has no price"),
        ({"1": {"mine": [{"input": "1"}]}}, "is no price list: Object missing required field"),
        ({"1": {"mine": [BAND | {"outptu": 1}]}}, "unknown field `outptu`"),
        ({"1": {"mine": [BAND | {"input": "-1"}]}}, "not a number from 0 up"),
        ({"1": {"mine": [BAND | {"input": "NaN"}]}}, "not a number from 0 up"),
        ({"1": {"mine": [BAND, BAND]}}, "from short prompts to long ones"),
        ({"1": {"mine": [BAND | {"up_to_input_tokens": 0}]}}, "from short prompts to long ones"),
        ({"1": {"mine": [BAND | {"up_to_input_tokens": 9}, BAND | {"up_to_input_tokens": 9}]}}, "from short prompts"),
    ],
)
def test_a_list_that_is_none_is_refused_with_a_sentence(tmp_path: Path, versions: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Prices.read(own(tmp_path, versions))


def test_a_file_that_is_not_there_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="none cannot be read: No such file"):
        Prices.read(tmp_path / "none")
