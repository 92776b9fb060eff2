"""Segmentation with a ViT on rectangles whose patches could be a square: trained, saved, asked, learned from again."""

import numpy as np
import pytest
from PIL import Image

from configs import default
from tests import small
from tljax.data.batches import Evaluation
from tljax.networks.families import vit
from tljax.runs import experiment
from tljax.runs.run import run
from tljax.serving import saved_model
from tljax.serving.predictor import Predictor

TINY = vit.Variant(patch=8, width=12, heads=3, depth=2)


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setitem(vit.VARIANTS, "two_blocks", TINY)
    rng = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    for i in range(12):
        label = np.zeros((16, 64), np.uint8)
        label[:, rng.integers(8, 56) :] = 1
        Image.fromarray(label[..., None] * np.array([90, 120, 150], np.uint8)).save(tmp_path / f"data/images/{i}.png")
        Image.fromarray(label).save(tmp_path / f"data/masks/{i}.png")
    one = default.get_config()
    one.data.update(source="image_masks", dir=str(tmp_path / "data"), fractions=(0.5, 0.25, 0.25), shape=(16, 64))
    one.task.name, one.task.head, one.strategy.name = "segmentation", "linear", "scratch"
    one.model.update(family="vit", variant="two_blocks")
    one.model.card.update(mean=(0.4,) * 3, std=(0.2,) * 3)
    one.optimizer.update(name="adam", lr=3e-3)
    one.train.update(epochs=1.0, batch_size=4, eval_batch_size=4, log_steps=1)
    one.report, one.writers = "none", ()
    return one


def test_the_grid_of_a_run_stays_with_it_and_its_test_part_runs_once(config, tmp_path, monkeypatch):
    """2 x 8 patches are as many as 4 x 4."""
    seen, batch = [], Evaluation.__call__

    def counted(self, number):
        seen.append((self.pictures.name(0), number))
        return batch(self, number)

    with monkeypatch.context() as patched:
        patched.setattr(Evaluation, "__call__", counted)
        patched.setattr(Predictor, "__call__", None)  # the other road to answers
        result = run(config, tmp_path / "run")
    names = (tmp_path / "run" / "report" / "test_predictions.csv").read_text().splitlines()
    tested = [one for one in seen if one[0] == names[1].split(",")[1]]
    assert result["counts"]["test"] == 3 and len(tested) == 1
    model = saved_model.load(tmp_path / "run")
    assert model.card.shape == (16, 64) and model.variables["params"]["backbone"]["embed"]["pos_embed"].shape[1] == 17
    picture = model.asked.read(tmp_path / "data" / "images" / "0.png")
    assert Predictor(model, batch_size=1)([picture]).shape == (1, 2, 8, 2)
    again = small.changed(config, {"model__weights": str(tmp_path / "run" / "model"), "data__shape": (32, 32)})
    again.model.card.update(mean=(), std=())
    again.strategy.name = "full"
    found = experiment.load(again, axis=None)
    ours = np.asarray(model.variables["params"]["backbone"]["embed"]["pos_embed"])
    expected = vit.resize_positions(ours, (4, 4), 1, (2, 8))
    assert not np.array_equal(expected, ours)
    np.testing.assert_array_equal(found.variables["params"]["backbone"]["embed"]["pos_embed"], expected)
    weighed = small.changed(config, {"task__class_weights": ("balanced",)})
    notes = experiment.load(weighed, axis=None, pretrained_wanted=False).notes
    assert any("class_weights, balanced by pixels of train: 0 " in note for note in notes)
    assert any("position embeddings 2x8 -> 4x4" in note for note in found.notes)
