"""The head on a pyramid of maps, and on a ViT's tokens: shapes, places and boxes in pixels."""

import jax
import numpy as np
import pytest

from tljax.core.errors import ConfigError
from tljax.core.types import EVALUATE
from tljax.networks.detection import fcos
from tljax.networks.detection.pyramid import enlarged

SIZES = {"width": 32, "depth": 1}


def answered(head, outputs):
    """The head's output and its variables, in one program."""
    return jax.jit(lambda key, x: head.init_with_output(key, x, EVALUATE))(jax.random.key(0), outputs)


def test_maps_of_three_stages_and_two_more_levels():
    head = fcos.Head(3, ("a", "b", "c"), (8, 16, 32), extra=2, **SIZES)
    outputs = {name: np.ones((2, n, n + 1, 4), np.float32) for name, n in (("a", 12), ("b", 6), ("c", 3))}
    found, variables = answered(head, outputs)
    places = 12 * 13 + 6 * 7 + 3 * 4 + 2 * 2 + 1
    assert jax.tree.map(lambda x: x.shape, found) == {
        "logits": (2, places, 3), "centre": (2, places), "boxes": (2, places, 4), "points": (2, places, 3),
    }  # fmt: skip
    points = np.asarray(found["points"][0])
    assert points[[0, 1, 13, 156, -1]].tolist() == [[4, 4, 8], [4, 12, 8], [12, 4, 8], [8, 8, 16], [64, 64, 128]]
    assert np.median(jax.nn.sigmoid(found["logits"])) == pytest.approx(fcos.PRIOR, rel=0.1)  # few objects at first
    boxes = np.asarray(found["boxes"][0])
    np.testing.assert_allclose(boxes[:, 2] - boxes[:, 0], 2 * fcos.START * points[:, 2], rtol=0.2)
    assert {"pyramid", "class_tower", "box_tower", "logits", "sides", "centre"} == set(variables["params"])


def test_tokens_of_a_vit():
    head = fcos.Head(2, ("block1",), (16,), before=1, **SIZES)
    tokens = np.random.default_rng(0).normal(size=(1, 17, 8)).astype(np.float32)
    found, _ = answered(head, {"block1": (tokens, np.zeros((1, 16, 2)))})
    assert found["logits"].shape == (1, 64 + 16 + 4, 2)
    assert sorted(set(np.asarray(found["points"])[0, :, 2])) == [8, 16, 32]
    wide = fcos.Head(2, ("block1",), (16,), before=1, shape=(32, 128), **SIZES)
    found, _ = answered(wide, {"block1": tokens})
    assert np.asarray(found["points"])[0, :, :2].max(0).tolist() == [28, 124]  # rows of 2 patches, columns of 8
    with pytest.raises(ConfigError, match="16 make no 2 x 4"):
        wide.clone(shape=(32, 64)).init(jax.random.key(0), {"block1": tokens}, EVALUATE)


def test_a_level_is_enlarged_by_the_nearest_pixel():
    x = np.arange(6.0).reshape(1, 2, 3, 1)
    assert np.asarray(enlarged(x, (4, 3)))[0, :, 0, 0].tolist() == [0, 0, 3, 3]
    assert np.asarray(enlarged(x, (2, 5)))[0, 0, :, 0].tolist() == [0, 0, 1, 1, 2]
