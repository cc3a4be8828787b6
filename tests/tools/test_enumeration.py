"""The test that says whether times differ, against values worked out by hand and against what it must tell."""

import random

import pytest

from tools.enumeration import likelihood


@pytest.mark.parametrize(
    ("left", "right", "p"),
    [
        ([1.0, 2.0, 3.0, 4.0, 5.0], [6.0, 7.0, 8.0, 9.0, 10.0], 0.0090),
        ([1.0, 3.0, 5.0, 7.0, 9.0], [2.0, 4.0, 6.0, 8.0, 10.0], 0.6015),
        ([1.0, 1.0, 1.0], [1.0, 1.0, 1.0], 1.0),
    ],
)
def test_the_p_value_is_that_of_the_normal_approximation(left: list[float], right: list[float], p: float) -> None:
    assert likelihood(left, right) == pytest.approx(p, abs=0.0005)
    assert likelihood(right, left) == pytest.approx(p, abs=0.0005)


def test_a_small_shift_among_many_is_told() -> None:
    source = random.Random(7)
    base = [source.gauss(30, 3) for _ in range(1_000)]
    assert likelihood(base, [source.gauss(30, 3) for _ in range(1_000)]) > 0.01
    assert likelihood(base, [source.gauss(31, 3) for _ in range(1_000)]) < 0.001
