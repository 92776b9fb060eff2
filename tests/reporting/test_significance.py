"""Intervals and paired tests: cases worked by hand, other derivations of the same numbers, and rates of error."""

import math

import numpy as np
import pytest
from scipy import stats

from tljax.reporting import significance


def test_the_interval_of_a_mean_by_hand():
    """Mean 0.82, deviation 0.02, 3 seeds; t(0.975, 2) = 4.3027 of any table: half a width is 4.3027 x 0.02 / sqrt 3."""
    low, high = significance.interval([0.80, 0.82, 0.84])
    assert (low, high) == (pytest.approx(0.82 - 0.0496824, rel=1e-5), pytest.approx(0.82 + 0.0496824, rel=1e-5))
    assert significance.interval([0.8]) is None


@pytest.mark.parametrize(("right", "examples"), [(0, 10), (7, 10), (146, 153), (153, 153)])
def test_wilson_is_that_of_scipy(right, examples):
    expected = stats.binomtest(right, examples).proportion_ci(0.95, method="wilson")
    assert significance.wilson(right / examples, examples) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_paired_t_is_that_of_scipy():
    ours, theirs = np.array([0.90, 0.93, 0.91, 0.95]), np.array([0.92, 0.94, 0.95, 0.95])
    expected = stats.ttest_rel(ours, theirs)
    found = significance.over_seeds(ours - theirs)
    ends = expected.confidence_interval(0.95)
    assert found.p == pytest.approx(expected.pvalue) and found.value == pytest.approx(-0.0175)
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high))
    assert found.test in significance.TESTS


def test_mcnemar_by_hand():
    """1 won, 6 lost of 20: two-sided exact p = 2 (C(7, 0) + C(7, 1)) / 2^7 = 0.125."""
    found = significance.mcnemar(np.array([1] + [-1] * 6 + [0] * 13))
    assert found.p == pytest.approx(0.125) and found.value == -0.25 and found.test == "McNemar"
    variance = (7 / 20 - 0.25**2) * 20 / 19 / 20  # of the mean of 20 differences
    assert found.high - found.low == pytest.approx(2 * 1.959964 * math.sqrt(variance), rel=1e-6)
    assert significance.mcnemar(np.zeros(20)).p == 1.0


def test_two_ways_by_hand():
    """2 seeds, 3 examples. Seed means 1/3, 2/3; example means 1, 1/2, 0; mean 1/2.

    A = 3 x var(1/3, 2/3) = 3 / 18 = 1/6; B = 2 x var(1, 1/2, 0) = 1/2; the rest is +-(1/6, 1/3, 1/6), so
    E = 2 (1/36 + 4/36 + 1/36) / 2 = 1/6. A + B - E = 1/2; variance 1/2 / 6 = 1/12; freedom (1/4) 1 / (1/36) = 9.
    """
    found = significance.over_seeds_and_examples(np.array([[1, 0, 0], [1, 1, 0]]))
    assert found.value == 0.5
    half = 2.262157 * math.sqrt(1 / 12)  # t(0.975, 9) of any table
    assert (found.low, found.high) == (pytest.approx(0.5 - half, rel=1e-6), pytest.approx(0.5 + half, rel=1e-6))
    assert found.p == pytest.approx(2 * stats.t.sf(math.sqrt(3), 9))


def test_seeds_that_agree_leave_the_examples():
    """Nothing moves with the seed: then it is one run, whose variance is that over examples."""
    one = np.array([1, 0, -1, 0, 0, 1, 0, 0])
    found = significance.over_seeds_and_examples(np.stack([one] * 3))
    assert found.high - found.low == pytest.approx(2 * 1.959964 * one.std(ddof=1) / math.sqrt(8), rel=1e-6)


def test_seeds_that_agree_by_chance_are_not_sure():
    """2 seeds, each 2 won and 4 lost, of 20, no example twice: A = 0, and B = E but for the mean.

    Differences are +-1 in 12 of 40 places, mean -0.1. Example means are +-1/2 in 12 of 20: B = 2 (12/4 - 20/100) / 19
    = 0.294737; the rest is +-1/2 in 24 of 40 places: E = 6/19 = 0.315789 > B. A and E by their freedom, 1 and 19:
    A = 19 E / 20 = 0.3, on 20 degrees; variance 0.3 / 40.
    """
    differences = np.zeros((2, 20), int)
    differences[0, :6] = differences[1, 6:12] = (1, 1, -1, -1, -1, -1)
    found = significance.over_seeds_and_examples(differences)
    assert found.value == pytest.approx(-0.1)
    assert found.p == pytest.approx(2 * stats.t.sf(0.1 / math.sqrt(0.3 / 40), 20))
    half = 2.085963 * math.sqrt(0.3 / 40)  # t(0.975, 20) of any table
    assert (found.low, found.high) == (pytest.approx(-0.1 - half, rel=1e-6), pytest.approx(-0.1 + half, rel=1e-6))


def test_no_difference_is_none():
    for found in (significance.over_seeds_and_examples(np.zeros((3, 5))), significance.over_seeds(np.zeros(3))):
        assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)
    for alike in (np.full(3, 1 / 448), np.array([0.9 - 0.8, 0.6 - 0.5])):  # no spread to test by, but for rounding
        assert significance.over_seeds(alike) is None


def test_holm_by_hand():
    """Sorted 0.01, 0.02, 0.03 by 3, 2, 1: 0.03, 0.04, and not below it, 0.04."""
    assert significance.holm([0.03, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert significance.holm([0.6, 0.7]) == [1.0, 1.0] and significance.holm([]) == []


def test_rows_that_are_equal_are_rarely_told_apart():
    """600 comparisons of equal rows, drawn with a spread of seeds and of examples: about 5 % below p = 0.05.

    Paired t over seeds on the one test part finds one in a third of them: it takes the part for all there is.
    """
    rng = np.random.default_rng(0)
    both, seeds_only = 0, 0
    for _ in range(600):
        hard = rng.normal(0, 1.2, (2, 1, 200)) + rng.normal(0, 0.1, (2, 5, 1))  # row, seed, example
        right = rng.normal(0, 0.3, (2, 5, 200)) + hard > -1.2
        differences = right[0].astype(int) - right[1]
        both += significance.over_seeds_and_examples(differences).p < 0.05
        seeds_only += significance.over_seeds(differences.mean(axis=1)).p < 0.05
    assert both / 600 == pytest.approx(0.05, abs=0.03)  # its own standard error is 0.009
    assert seeds_only / 600 > 0.2


def test_a_share_of_tokens_has_no_interval_over_texts():
    of_examples = {"accuracy": 0.75, "examples": 40}
    assert significance.of_part("accuracy", of_examples) == significance.wilson(0.75, 40)
    assert significance.of_part("accuracy", of_examples | {"tokens": 900}) is None
    assert significance.of_part("loss", of_examples | {"loss": 0.75}) is None
