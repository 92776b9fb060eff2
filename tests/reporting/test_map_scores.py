"""Maps on the host: the counts of the compiled ones, and the interval over pictures."""

import numpy as np
import pytest

from tljax.core.types import IGNORED
from tljax.networks.segmentation import counts
from tljax.reporting.maps import scores
from tljax.tasks import segmentation


@pytest.mark.parametrize(("classes", "shape"), [(3, (24, 300)), (70, (24, 300))])
def test_counts_are_those_of_the_device(classes, shape):
    """With more classes than an integer has bits, and boundaries that may lie off by 2 pixels."""
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, classes, (2, 4, 50)).astype(np.uint8).repeat(6, 1).repeat(6, 2)
    label, said = blocks[0], np.roll(blocks[0], 2, axis=1)
    said[:, 150:] = blocks[1, :, 150:]
    label[5:9, 40:90] = IGNORED
    assert label.shape == shape and round(scores.TOLERANCE * np.hypot(*shape)) == 2
    for ours, theirs in ((scores.confusion, counts.confusion), (scores.boundaries, counts.boundaries)):
        expected = np.asarray(theirs(label[None], said[None], classes))[0]
        np.testing.assert_array_equal(ours(label, said, classes), expected)
        assert expected.sum() > 100


def test_pixels_that_the_network_did_not_see_count_for_nothing():
    label, said = np.zeros((4, 4), np.uint8), np.ones((4, 4), np.uint8)
    said[1:3, 1:3], said[0] = 0, IGNORED
    assert scores.confusion(label, said, 2).tolist() == [[4, 8], [0, 0]]


def test_the_interval_holds_the_mean_of_other_pictures():
    """Of 40 samples of 60 pictures it holds the value of all pictures in about 95 %, and it is the same each time."""
    rng = np.random.default_rng(1)
    label = rng.integers(50, 200, (6000, 3))
    both = (label * rng.beta(4, 2, (6000, 1))).astype(int)
    said = both + rng.integers(0, 50, (6000, 3))
    true = (both.sum(0) / (label + said - both).sum(0)).mean()
    samples = [rng.choice(6000, 60, replace=False) for _ in range(40)]
    found = [scores.interval(label[some], said[some], both[some]) for some in samples]
    assert 34 <= sum(low <= true <= high for low, high in found) <= 40
    assert found[0] == scores.interval(label[samples[0]], said[samples[0]], both[samples[0]])
    assert scores.interval(label[:1], said[:1], both[:1]) is None


def test_a_class_that_is_in_few_pictures_does_not_break_it():
    label, said = np.array([[9, 0], [9, 0], [0, 4]]), np.array([[9, 0], [9, 0], [0, 4]])
    assert scores.interval(label, said, said) == (1.0, 1.0)
    assert segmentation.Segmentation("unet", "dice", (1.0, 1.0)).interval(
        {"label": label, "predicted": said, "both": said}
    ) == (1.0, 1.0)
