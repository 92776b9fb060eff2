"""Mixup and CutMix: what is mixed with what, in which shares, and that it depends on seed, step and position alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from scipy import stats

from tests import small
from tljax.core.errors import ConfigError
from tljax.data import mixing
from tljax.runs.run import run

B, H, W = 64, 12, 16
KEY = jax.random.key(3)


def mix(mixup=0.0, cutmix=0.0, count=B, key=KEY):
    """Picture i holds the number i everywhere; labels are i, weights i / 2."""
    numbers = jnp.arange(count, dtype=jnp.float32)
    images = jnp.broadcast_to(numbers[:, None, None, None], (count, H, W, 3))
    batch = {"label": jnp.arange(count), "position": jnp.arange(count), "weight": numbers / 2, "inputs": images}
    mixed = mixing.mix(batch, key, ConfigDict({"mixup": mixup, "cutmix": cutmix}))
    return np.array(mixed["inputs"]), jax.tree.map(np.array, mixed)


NEIGHBOUR = np.arange(B) ^ 1


def test_mixup_is_a_blend_with_the_neighbour():
    mixed, batch = mix(mixup=0.4)
    share = batch["share"]
    expected = share * np.arange(B) + (1 - share) * NEIGHBOUR
    np.testing.assert_allclose(mixed, np.broadcast_to(expected[:, None, None, None], mixed.shape), rtol=1e-5, atol=1e-5)
    assert (batch["label"] == np.arange(B)).all() and (batch["other"]["label"] == NEIGHBOUR).all()
    assert (batch["other"]["weight"] == NEIGHBOUR / 2).all()
    assert len(np.unique(share)) == B  # each draws its own


def test_shares_are_beta():
    _, batch = mix(mixup=0.4, count=4000)
    assert stats.kstest(batch["share"], stats.beta(0.4, 0.4).cdf).pvalue > 0.01
    assert stats.kstest(batch["share"], stats.beta(1.0, 1.0).cdf).pvalue < 1e-6


def test_cutmix_puts_a_rectangle_of_the_neighbour_in():
    mixed, batch = mix(cutmix=1.0)
    seen = 0
    for i in range(B):
        assert set(np.unique(mixed[i])) <= {float(i), float(NEIGHBOUR[i])}
        inside = (mixed[i] == NEIGHBOUR[i]).all(-1)
        assert batch["share"][i] == pytest.approx(1 - inside.mean(), abs=1e-6)  # that of the pixels, not of the draw
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        assert inside.sum() == len(rows) * len(columns)  # a full rectangle, and in one piece
        assert not len(rows) or (np.ptp(rows) + 1, np.ptp(columns) + 1) == (len(rows), len(columns))
        seen += bool(inside.any())
    assert seen > 0.8 * B and np.std(batch["share"]) > 0.1


def test_rectangles_have_the_area_that_was_drawn():
    """Alpha so large that every share is 0.75: sides of half the picture, where they do not hang over."""
    mixed, _ = mix(cutmix=1e6, count=400)
    inside = (mixed == (np.arange(400) ^ 1)[:, None, None, None]).all(-1)
    heights, widths = inside.any(2).sum(1), inside.any(1).sum(1)
    side = np.sqrt(0.5)  # Beta(1e6, 1e6) is 1/2
    assert heights.max() == round(side * H) + (round(side * H) < side * H) and abs(widths.max() - side * W) < 1
    assert heights.min() < H / 2  # some hang over the edge


def test_with_both_either_is_as_likely():
    mixed, batch = mix(mixup=0.4, cutmix=1.0, count=2000)
    blended = np.array([len(np.unique(one)) == 1 and 0 < s < 1 for one, s in zip(mixed, batch["share"], strict=True)])
    assert stats.binomtest(int(blended.sum()), 2000).pvalue > 1e-3


def test_without_either_nothing_is_touched():
    batch = {"label": jnp.arange(3), "inputs": jnp.ones((3, 2))}
    assert mixing.mix(batch, KEY, ConfigDict({"mixup": 0.0, "cutmix": 0.0})) is batch


def test_the_loss_is_mixed_as_the_inputs_are():
    """Of labels 1 and 3 and others 2 and 1, squares: 1/4 1 + 3/4 4 and 1/2 9 + 1/2 1."""
    batch = {"label": jnp.array([1.0, 3.0])}
    mixed = {**batch, "share": jnp.array([0.25, 0.5]), "other": {"label": jnp.array([2.0, 1.0])}}
    assert float(mixing.loss(lambda part: part["label"] ** 2, batch)) == (1 + 9) / 2
    assert float(mixing.loss(lambda part: part["label"] ** 2, mixed)) == (3.25 + 5) / 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train__batch_size": 12}, r"must be a multiple of 8, twice the 4 devices times .*; got 12"),
        ({"train__batch_size": 24, "optimizer__accumulate": 2}, r"multiple of 16, .*accumulate \(2\); got 24"),
        ({"model__family": "bert"}, "config.model.family=bert is text"),
    ],
)
@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_what_cannot_be_mixed_is_said_before_anything_is_written(tmp_path, kind, changes, message):
    with pytest.raises(ConfigError, match=message):
        run(small.config(**{f"task__{kind}": 0.2}, **changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_every_device_has_pairs():
    config = small.config(task__mixup=0.2, train__batch_size=12)
    mixing.check(config, 2, pictures=True)  # raises nothing
    with pytest.raises(ConfigError, match="multiple of 8, twice the 4 devices"):
        mixing.check(config, 4, pictures=True)


def test_runs_are_the_same_under_jit_and_pmap_and_differ_from_plain_ones(tmp_path):
    losses = {}
    for name, changes in {
        "jit": {},
        "pmap": {"parallel": "pmap"},
        "plain": {"task__mixup": 0.0, "task__cutmix": 0.0},
    }.items():
        mixed = {"task__mixup": 0.4, "task__cutmix": 1.0, "task__class_weights": ("balanced",)} | changes
        run(small.config(train__epochs=1.0, train__batch_size=24, **mixed), tmp_path / name)
        losses[name] = small.losses(tmp_path / name)
    np.testing.assert_allclose(losses["pmap"], losses["jit"], rtol=1e-5)
    assert (losses["plain"] != losses["jit"]).all()
