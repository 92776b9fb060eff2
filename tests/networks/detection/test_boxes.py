"""Overlaps by hand, and non-maximum suppression against the loop that its definition is."""

import jax
import numpy as np
import pytest

from tljax.core.types import NO_BOX
from tljax.networks.detection import boxes

RNG = np.random.default_rng(0)


def test_overlaps_by_hand():
    one = np.array([[0.0, 0, 4, 4], [0, 0, 2, 2], [0, 0, 2, 2], [1, 1, 1, 1]], np.float32)
    other = np.array([[0.0, 0, 4, 4], [1, 1, 3, 3], [2, 4, 4, 6], [1, 1, 1, 1]], np.float32)
    np.testing.assert_allclose(boxes.overlap(one, other), [1, 1 / 7, 0, 0], atol=1e-6)
    # The hull of the second pair has 9 pixels, and the union 7; of the third 24 and 8.
    np.testing.assert_allclose(boxes.generalized_overlap(one, other)[:3], [1, 1 / 7 - 2 / 9, -16 / 24], atol=1e-6)


def greedy(scores, places, number, least, most_overlap):
    pairs = [(scores[i, k], *places[i], k) for i in range(len(places)) for k in range(scores.shape[1])]
    left, kept = sorted((pair for pair in pairs if pair[0] > least), key=lambda pair: -pair[0]), []
    while left and len(kept) < number:
        score, *box, k = best = left[0]
        kept.append([*box, k, score])
        left = [
            other
            for other in left
            if other is not best
            and not (other[5] == k and boxes.overlap(np.array(box), np.array(other[1:5])) > most_overlap)
        ]
    return np.array(kept)


def test_suppression_is_the_loop_of_its_definition():
    corners = RNG.uniform(0, 60, (40, 2))
    places = np.concatenate([corners, corners + RNG.uniform(10, 50, (40, 2))], axis=1).astype(np.float32)
    scores = RNG.permutation(120).reshape(40, 3).astype(np.float32) / 120
    for least, most_overlap, number in ((0.3, 0.4, 100), (0.05, 0.2, 7)):
        options = {"number": number, "candidates": 1000, "least": least, "most_overlap": most_overlap}
        found = np.asarray(jax.jit(lambda s, b, o=options: boxes.chosen(s, b, **o))(scores, places))
        expected = greedy(scores, places, number, least, most_overlap)
        assert found.shape == (number, 6) and 3 < len(expected) < 100
        np.testing.assert_allclose(found[: len(expected)], expected, atol=1e-5)
        assert (found[len(expected) :] == [0, 0, 0, 0, NO_BOX, 0]).all()


@pytest.mark.parametrize("candidates", [1, 3])
def test_only_the_best_candidates_are_looked_at(candidates):
    places = np.array([[0, 0, 1, 1], [5, 5, 6, 6], [8, 8, 9, 9]], np.float32)
    scores = np.array([[0.5], [0.9], [0.1]], np.float32)
    found = boxes.chosen(scores, places, number=3, candidates=candidates, least=0.2, most_overlap=0.5)
    assert np.asarray(found)[:, 5].tolist() == pytest.approx([0.9, 0.5, 0][:candidates] + [0] * (3 - candidates))
