"""Which places answer for which box, and losses that are 0 for a right answer."""

import jax
import numpy as np
import pytest

from tljax.core.types import NO_BOX
from tljax.networks.detection import targets

NOTHING = [0, 0, 0, 0, NO_BOX]
assigned, losses = jax.jit(targets.assigned), jax.jit(targets.losses)  # one program each, not one an operation


def points(side=64):
    """The places of strides 8 and 16 in a picture of `side` pixels."""
    return np.array(
        [[s * (i + 0.5), s * (j + 0.5), s] for s in (8, 16) for i in range(side // s) for j in range(side // s)],
        np.float32,
    )


def test_places_near_the_middle_of_a_box_answer_for_it():
    label = np.array([[8, 8, 40, 32, 1], NOTHING], np.float32)  # 32 x 24: its furthest side is at most 32 from a place
    found = assigned(points(), label)
    chosen = points()[np.asarray(found.found)]
    assert set(chosen[:, 2]) == {8.0}  # 32 pixels are 4 strides of the first level: too near for the second
    assert chosen[:, :2].tolist() == [[y, x] for y in (20, 28) for x in (12, 20, 28)]  # nearer than 12 to [24, 20]
    middle = np.flatnonzero((points() == [20, 20, 8]).all(1))[0]
    assert np.asarray(found.number)[middle] == 1 and np.asarray(found.box)[middle].tolist() == [8, 8, 40, 32]
    assert found.centre[middle] == pytest.approx(np.sqrt(12 / 20))  # up 12, down 20; left 12, right 12


def test_the_smaller_of_two_and_the_last_level_for_large_ones():
    label = np.array([[0, 0, 128, 128, 0], [56, 56, 72, 72, 1]], np.float32)
    found = assigned(points(128), label)
    coarse = points(128)[:, 2] == 16
    assert set(np.asarray(found.number)[np.asarray(found.found) & coarse]) == {0}
    assert set(np.asarray(found.number)[np.asarray(found.found) & ~coarse]) == {1}
    both = assigned(points(), np.array([[4, 4, 36, 36, 0], [8, 8, 32, 32, 1]], np.float32))
    assert set(np.asarray(both.number)[np.asarray(both.found)]) == {1}


def output(places, wanted, classes=2):
    """The head's output that is sure of `wanted`."""
    number = np.where(wanted.found, wanted.number, -1)
    return {
        "points": places,
        "logits": np.where(number[:, None] == np.arange(classes), 20.0, -20.0).astype(np.float32),
        "boxes": np.asarray(wanted.box),
        "centre": np.asarray(jax.scipy.special.logit(np.clip(wanted.centre, 1e-6, 1 - 1e-6))),
    }


def test_a_right_answer_costs_nothing_and_a_wrong_one_does():
    label, places = np.array([[8, 8, 40, 32, 1], NOTHING], np.float32), points()
    wanted = assigned(places, label)
    right = output(places, wanted)
    found = losses(right, label)
    assert found.classes < 1e-6 and found.boxes < 1e-6
    entropy = [-c * np.log(c) - (1 - c) * np.log1p(-c) for c in np.asarray(wanted.centre)[np.asarray(wanted.found)]]
    assert found.centre == pytest.approx(np.nanmean(entropy), rel=1e-4)
    other = label.copy()
    other[0, 4] = 0
    assert losses(right, other).classes > 1
    moved = {**right, "boxes": right["boxes"] + np.float32(6)}
    assert 0.3 < losses(moved, label).boxes < 1.5
    empty = losses(right, np.array([NOTHING], np.float32))
    assert empty.classes > 1 and empty.boxes == empty.centre == 0
    gradients = jax.grad(lambda x: sum(losses(x, label)))(moved)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(gradients))
    assert np.abs(gradients["boxes"]).sum() > 0
