"""Draws: exact in every class, groups whole, and a source that is sorted told from one that is not."""

import numpy as np
import pytest

from tljax.data.parts import draws


def test_groups_are_drawn_whole_and_near_the_share():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 60, 2000)
    strata = (groups % 3 == 0).astype(np.int32)
    for seed in range(5):
        chosen = draws.mask(strata, seed, 3, share=0.3, groups=groups)
        assert not set(groups[chosen]) & set(groups[~chosen])
        for label in (0, 1):
            assert chosen[strata == label].mean() == pytest.approx(0.3, abs=0.04)
        np.testing.assert_array_equal(chosen, draws.mask(strata, seed, 3, share=0.3, groups=groups))
    assert (
        draws.mask(strata, 0, 3, share=0.3, groups=groups) != draws.mask(strata, 1, 3, share=0.3, groups=groups)
    ).any()


def test_of_each_class_its_own_permutation_chooses():
    """However classes are found, a draw is the one that finished runs had: they would be resumed on other examples."""
    strata = np.random.default_rng(0).integers(0, 40, 200).astype(np.int32)
    chosen = draws.mask(strata, 5, 2, share=0.4)
    for label in range(40):
        members = np.flatnonzero(strata == label)
        order = np.random.default_rng([5, 2, label]).permutation(len(members))
        assert set(np.flatnonzero(chosen & (strata == label))) == set(members[order[: round(0.4 * len(members))]])
    assert not draws.mask(np.zeros(0, np.int32), 5, 2, share=0.4).size


def test_a_group_is_of_the_class_that_most_of_its_examples_have():
    groups = np.array(["a", "a", "a", "b", "b", "c"])
    found = draws._class_of_each(np.unique(groups, return_inverse=True)[1], np.array([2, 1, 2, 3, 0, 1]))
    assert found.tolist() == [2, 0, 1]  # of b's two classes, which are as frequent, the first


def test_of_two_groups_one_goes_each_way():
    strata, groups = np.zeros(10, np.int32), np.array([0] * 9 + [1])
    for share in (0.01, 0.99):
        assert 0 < draws.mask(strata, 0, 3, share=share, groups=groups).sum() < 10


def test_what_is_sorted():
    rng, rows = np.random.default_rng(0), np.repeat(np.arange(5), (20, 30, 5, 9, 40))
    assert draws.is_sorted(rows) and draws.is_sorted(rows[::-1])
    assert draws.is_sorted(np.concatenate([rows, rows]))  # two splits, one after another
    assert draws.is_sorted(np.array([0, 0, 1, 1])) and not draws.is_sorted(np.array([0, 1, 0, 1]))
    assert not any(draws.is_sorted(rng.permutation(rows)) for _ in range(200))
    assert not draws.is_sorted(np.zeros(9, np.int32))
    scores = rng.random((50, 2))
    assert not draws.is_sorted(scores) and draws.is_sorted(scores[scores[:, 0].argsort()])
    sets = rng.random((200, 3)) > 0.5
    assert not draws.is_sorted(sets) and draws.is_sorted(sets[np.lexsort(sets.T)])


def test_so_many_of_each_class():
    strata = np.repeat(np.arange(3), (60, 30, 10))
    for number, expected in ((50, [30, 15, 5]), (10, [6, 3, 1]), (3, [1, 1, 1])):
        chosen = draws.first_of_each(strata, number, 0)
        assert len(chosen) == number and (np.diff(chosen) > 0).all()
        assert np.abs(np.bincount(strata[chosen], minlength=3) - expected).max() <= 1
        assert (np.bincount(strata[chosen], minlength=3) > 0).all()
    assert set(draws.first_of_each(strata, 20, 0)) < set(draws.first_of_each(strata, 50, 0))
    assert set(draws.first_of_each(strata, 20, 0)) != set(draws.first_of_each(strata, 20, 1))
