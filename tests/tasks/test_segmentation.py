"""Segmentation: metrics by hand, exact over batches, devices and padding; whole runs on real pedestrians."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from configs import default
from tests import small
from tljax.core.errors import ConfigError
from tljax.core.types import IGNORED
from tljax.data import pictures
from tljax.networks.families import resnet
from tljax.runs.run import run
from tljax.tasks import segmentation

CLASSES = ("ground", "road", "car")
FOUR = resnet.Variant((1, 1, 1, 1), bottleneck=False, width=8)


def make(**changes):
    config = ConfigDict({"head": "unet", "loss": "cross_entropy", "class_weights": (), **changes})
    return segmentation.from_training(config, None, CLASSES)


def batch(rng, number=4, side=16):
    label = rng.integers(0, 3, (number, side, side)).astype(np.uint8)
    label[:, 0] = IGNORED
    return jnp.asarray(rng.normal(size=(number, 4, 4, 3)), jnp.float32), {
        "label": jnp.asarray(label),
        "mask": jnp.ones(number, bool),
    }


def counted(task, logits, one):
    """All that evaluation is given of a batch, in one program."""
    return jax.device_get(jax.jit(lambda x, y: task.totals(x, y) | task.per_example(x, y))(logits, one))


def test_metrics_are_those_of_all_pixels_together():
    task, rng = make(), np.random.default_rng(0)
    logits, one = batch(rng)
    found = task.summarize(counted(task, logits, one))
    said = np.asarray(jax.image.resize(logits, (4, 16, 16, 3), "linear")).argmax(-1)
    label = np.asarray(one["label"])
    counts = label != IGNORED
    iou = [((label == k) & (said == k)).sum() / (((label == k) | (said == k)) & counts).sum() for k in range(3)]
    assert found["mean_iou"] == pytest.approx(np.mean(iou)) and found["examples"] == 4
    assert found["pixel_accuracy"] == pytest.approx((label == said)[counts].mean())
    assert found["pixels"] == 4 * 16 * 15 and 0 < found["boundary_f1"] < 1


def test_totals_add_up_and_padding_counts_for_nothing():
    task, rng = make(), np.random.default_rng(1)
    logits, one = batch(rng)
    whole = task.totals(logits, one)
    halves = [task.totals(logits[some], jax.tree.map(lambda x, s=some: x[s], one)) for some in (slice(2), slice(2, 4))]
    for name in ("pixels", "boundaries", "examples"):
        np.testing.assert_array_equal(whole[name], sum(half[name] for half in halves))
    np.testing.assert_allclose(whole["loss"], sum(half["loss"] for half in halves), rtol=1e-6)
    masked = task.totals(logits, one | {"mask": jnp.array([True, True, False, False])})
    assert jax.tree.map(lambda a, b: (a == b).all().item(), masked, halves[0]) == dict.fromkeys(whole, True)


def test_a_right_answer_is_one_and_a_class_that_is_nowhere_counts_for_nothing():
    task = make()
    label = jnp.zeros((1, 8, 8), jnp.uint8).at[:, 2:6, 2:6].set(1)
    logits = 20 * jax.nn.one_hot(label, 3)
    one = {"label": label, "mask": jnp.ones(1, bool)}
    totals = counted(task, logits, one)
    found = task.summarize(totals)
    assert found["mean_iou"] == found["pixel_accuracy"] == found["boundary_f1"] == 1.0
    table = task.per_class(totals, CLASSES)
    assert table["IoU"][:2].tolist() == [1, 1] and np.isnan(table["IoU"][2])
    assert task.scores(totals).tolist() == [1.0]
    assert task.answer(task.outputs(np.asarray(logits))[0], CLASSES, 1) == [("ground", 0.75), ("road", 0.25)]


def test_weights_and_heads_that_do_not_fit():
    assert make(class_weights=("car=2", "ground=1", "road=1")).class_weights == (1, 1, 2)
    with pytest.raises(ConfigError, match="needs a source that counts pixels"):
        make(class_weights=("balanced",))
    with pytest.raises(ConfigError, match=r"'best' must be a head \(linear, fcn, unet, deeplab\)"):
        make(head="best")
    with pytest.raises(ValueError, match="a folder runs no code"):
        segmentation.restore({"head_name": "mine.py", "loss_name": "dice", "class_weights": [1]})


def test_balanced_weights_make_all_classes_count_alike():
    """A class that the training part does not hold keeps the weight 1."""
    pixels = np.array([[10, 5, 0], [50, 5, 0]])
    task = segmentation.from_training(
        ConfigDict({"head": "unet", "loss": "cross_entropy", "class_weights": ("balanced",)}), pixels, CLASSES
    )
    assert task.class_weights == pytest.approx((70 / 120, 70 / 20, 1.0))


@pytest.fixture(scope="module")
def pedestrians(shared, tmp_path_factory):
    """24 real pictures with their masks."""
    root = tmp_path_factory.mktemp("pedestrians")
    for kind in ("images", "masks"):
        (root / kind).mkdir()
        for file in sorted((shared / "data" / "pennfudan" / kind).iterdir())[:24]:
            (root / kind / file.name).symlink_to(file)
    return root


def config_for(folder):
    """A few steps of 32 pixels."""
    one = default.get_config()
    one.data.source, one.task.name = "image_masks", "segmentation"
    one.model.update(family="resnet", variant="four")
    one.data.update(dir=str(folder), object="pedestrian", resize=36, size=32, crop=32, flip=True)
    one.data.update(fractions=(0.5, 0.25, 0.25))
    one.task.loss = "cross_entropy+dice"
    one.model.card.update(mean=(0.4,) * 3, std=(0.2,) * 3)
    one.strategy.name = "scratch"
    one.optimizer.update(name="adam", lr=3e-3)
    one.train.update(epochs=2.0, batch_size=8, eval_batch_size=8, log_steps=1)
    return one


def test_real_pictures_train_and_resume_bit_equal(pedestrians, tmp_path, monkeypatch):
    monkeypatch.setitem(resnet.VARIANTS, "four", FOUR)
    config = config_for(pedestrians)
    result = run(config, tmp_path / "whole")
    assert result["metric"] == "mean_iou" and result["counts"]["test"] == 6
    rows = (tmp_path / "whole" / "report" / "test_predictions.csv").read_text().splitlines()
    assert rows[0] == "example,name,mean_iou,pixel_accuracy,IoU(ground),IoU(pedestrian)" and len(rows) == 7
    sides = [
        round(min(pictures.read(Path(row.split(",")[1])).shape[:2]) * 32 / 36) for row in rows[1:]
    ]  # of the squares it saw
    assert result["metrics"]["test"]["pixels"] == sum(side**2 for side in sides)
    small.run_cut_off(monkeypatch, config, tmp_path / "cut", at=3)
    run(config, tmp_path / "cut")
    assert small.saved_bits(tmp_path / "cut") == small.saved_bits(tmp_path / "whole")
