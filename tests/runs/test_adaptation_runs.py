"""Two domains through the main job: no label of the target arrives, runs resume, and everything combines."""

import csv
import json

import jax
import numpy as np
import pytest
import safetensors.numpy

from tests import small
from tests.runs import test_text_runs
from tests.runs.test_text_runs import folder  # noqa: F401  (a fixture)
from tests.training.test_train_loop import CutError, cut_at, everything, last_state  # noqa: F401  (a fixture)
from tljax.commands import lr_find
from tljax.core.errors import ConfigError
from tljax.core.types import Dataset, Info
from tljax.data.sources import digits
from tljax.runs import domain_transfer, experiment
from tljax.runs.run import run


class Bright(digits.Digits):
    """The digits on a brighter ground; `labels` may be made wrong."""

    def __init__(self, channels, labels):
        super().__init__(channels)
        self.images, self.labels = 255 - self.images // 2, labels


@pytest.fixture
def two_domains(monkeypatch, tmp_path):
    """Let digits be the split "dark", and beside it "bright" with these labels."""
    monkeypatch.setenv("TLJAX_CACHE", str(tmp_path / "cache"))

    def labelled(labels):
        def load(config):
            return Dataset({"dark": digits.Digits(1), "bright": Bright(1, labels)}, Info(tuple("0123456789"), "digits"))

        monkeypatch.setattr(digits, "load", load)

    labelled(digits.Digits(1).labels)
    return labelled


def config(name="dann", **changes):
    one = small.config(data__divide=("dark",), data__targets=("bright",), data__unlabelled=("bright",))
    one.data.update(classes=(), fractions=(0.1, 0.1, 0.8), unlabelled_share=0.3, examples_per_class=0)
    one.adaptation.update(name=name, hidden=(8,))
    one.train.update(epochs=1.0, batch_size=20, eval_epochs=0.2, checkpoint_epochs=0.3)
    return small.changed(one, changes)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """Weights for strategies that start from some."""
    place = tmp_path_factory.mktemp("source")
    run(small.config(data__examples_per_class=2, train__epochs=1.0), place)
    return str(place / "model")


def weights(place):
    return safetensors.numpy.load_file(place / "model" / "model.safetensors")


def test_the_targets_labels_change_no_bit_of_what_is_learned(two_domains, tmp_path):
    """Nor of which epoch is kept; what is reported does change."""
    right = run(config(train__select="entropy", train__oracle=True), tmp_path / "right")
    two_domains((digits.Digits(1).labels + 1) % 10)
    wrong = run(config(train__select="entropy", train__oracle=True), tmp_path / "wrong")
    assert last_state(tmp_path / "right") == last_state(tmp_path / "wrong")
    assert small.bits(weights(tmp_path / "right")) == small.bits(weights(tmp_path / "wrong"))
    assert right["step"] == wrong["step"] and right["metrics"]["test"] == wrong["metrics"]["test"]
    assert right["metrics"]["bright"] != wrong["metrics"]["bright"] and right["oracle"] != wrong["oracle"]


def test_what_chooses_and_what_the_oracle_saw(two_domains, tmp_path):
    result = run(config(train__select="entropy", train__oracle=True), tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    entropies = {row["step"]: row["entropy"] for row in rows if row["part"] == "unlabelled"}
    assert len(entropies) == 5 and result["step"] == min(entropies, key=entropies.__getitem__)
    assert all(row["examples"] == round(0.3 * 1797) for row in rows if row["part"] == "unlabelled")
    seen = {row["step"]: row["accuracy"] for row in rows if row["part"] == "oracle bright"}
    best = max(seen.values())
    assert result["oracle"] == {"bright": {"accuracy": best, "step": min(s for s in seen if seen[s] == best)}}
    assert set(result["metrics"]) == {"train", "validation", "test", "bright"}  # no number of the unlabelled
    assert result["counts"]["bright"] == 1797 - round(0.3 * 1797) and result["source"] == "dark"
    own, oracle = domain_transfer.summarize({"dann": [result]})
    assert own["targets"]["bright"]["mean"] <= oracle["targets"]["bright"]["mean"] == best
    parts = {row["part"] for row in rows if not row["part"].startswith("final ")}
    assert parts == {"train", "unlabelled", "oracle bright"}
    train = next(row for row in rows if row["part"] == "train")
    assert {"loss", "adaptation", "domain_accuracy", "accuracy", "lr/domain"} <= set(train)


@pytest.mark.parametrize("mode", ["jit", "pmap"])
def test_a_run_cut_off_ends_the_same(two_domains, tmp_path, cut_at, mode):  # noqa: F811
    changes = {"parallel": mode, "train__oracle": True, "train__select": "entropy", "data__pad": 1}
    cut_at(0)
    whole = run(config(**changes), tmp_path / "whole")
    for step in (3, 7):
        cut_at(step)
        with pytest.raises(CutError):
            run(config(**changes), tmp_path / "cut")
    cut_at(0)
    assert run(config(**changes), tmp_path / "cut")["oracle"] == whole["oracle"]
    assert everything(tmp_path / "cut") == everything(tmp_path / "whole")
    assert last_state(tmp_path / "cut") == last_state(tmp_path / "whole")
    assert any("domain.layer0.kernel" in path for path in last_state(tmp_path / "whole"))


def test_the_domain_classifier_is_in_no_model(two_domains, tmp_path):
    adapted = run(config(), tmp_path / "adapted")
    plain = run(config(""), tmp_path / "plain")
    assert weights(tmp_path / "adapted").keys() == weights(tmp_path / "plain").keys()
    assert adapted["parameters"]["total"] == plain["parameters"]["total"]
    own = adapted["parameters"]["trainable"] - plain["parameters"]["trainable"]
    assert own == 8 * (weights(tmp_path / "plain")["fc.weight"].shape[1] + 1) + 9
    assert "oracle" not in plain and adapted["metrics"]["test"] != plain["metrics"]["test"]


def test_batchnorm_statistics_of_the_target(two_domains, tmp_path, monkeypatch):
    """Training is that of the source alone; evaluation and model/ have the target's statistics, of plain pictures."""
    one = small.resnet_config(monkeypatch, train__epochs=1.0, train__batch_size=60)
    one.data.update(config().data.to_dict() | {"size": 16, "unlabelled_share": 540 / 1797, "pad": 1})
    plain = run(one, tmp_path / "plain")
    one.adaptation.name = "adabn"
    adapted = run(one, tmp_path / "adapted")
    assert last_state(tmp_path / "plain") == last_state(tmp_path / "adapted")
    assert plain["metrics"]["bright"] != adapted["metrics"]["bright"]
    before, after = weights(tmp_path / "plain"), weights(tmp_path / "adapted")
    moved = {name for name in before if before[name].tobytes() != after[name].tobytes()}
    assert moved == {name for name in before if "running_" in name}
    seen = experiment.load(one, axis=None, pretrained_wanted=False)
    pictures = seen.parts["unlabelled"].take(np.arange(540)) | {"position": np.arange(540)}
    inputs = seen.prepare(pictures, jax.random.key(0), False)["inputs"]
    stem = jax.lax.conv_general_dilated(
        inputs, after["conv1.weight"], (2, 2), ((3, 3), (3, 3)), dimension_numbers=("NHWC", "OIHW", "NHWC")
    )
    np.testing.assert_allclose(after["bn1.running_mean"], stem.mean((0, 1, 2)), rtol=1e-4, atol=1e-5)
    assert np.abs(before["bn1.running_mean"] - after["bn1.running_mean"]).max() > 0.01


def test_features_of_a_frozen_prefix_are_computed_once(two_domains, tmp_path, capsys, pretrained):
    changes = {"strategy__name": "last_k", "train__epochs": 3.0, "groups": {}, "model__weights": pretrained}
    cached = run(config("coral", adaptation__weight=100.0, **changes), tmp_path / "cached")
    said = capsys.readouterr().out
    assert "cached in memory" in said and "features of unlabelled: 539 rows" in said
    plain = run(config("coral", adaptation__weight=100.0, data__cache="off", **changes), tmp_path / "plain")
    np.testing.assert_allclose(small.losses(tmp_path / "cached"), small.losses(tmp_path / "plain"), rtol=1e-4)
    assert cached["metrics"]["bright"]["accuracy"] == pytest.approx(plain["metrics"]["bright"]["accuracy"], abs=2e-3)
    flipped = {**changes, "data__flip": True, "data__cached_views": 2}
    run(config("coral", **flipped), tmp_path / "flipped")
    assert "not cached: the unlabelled examples are augmented too" in capsys.readouterr().out


def test_texts_of_two_domains(folder, tmp_path, monkeypatch):  # noqa: F811
    """Their batches differ in length; a part without labels chooses the epoch; and there is a strategy of its own."""
    rows = list(csv.reader((folder / "test.csv").read_text().splitlines()))
    longer = [["text", "label"], *([f"{text} very book very book", label] for text, label in rows[1:])]
    (folder / "other.csv").write_text("\n".join(",".join(row) for row in longer))
    one = test_text_runs.config(folder, data__targets=("other",), data__unlabelled=("other",), train__epochs=2.0)
    one.update(train={"select": "entropy"}, adaptation={"name": "mmd"}, strategy={"name": "lora", "rank": 2})
    result = run(one, folder / "run")
    assert result["counts"] == {"train": 48, "test": 31, "other": 15}
    assert small.losses(folder / "run")[-3:].mean() < small.losses(folder / "run")[:3].mean()


@pytest.mark.parametrize("name", ["coral", "dann"])
def test_a_sweep_of_rates_has_the_loss_of_the_run(two_domains, tmp_path, name):
    """That of its first batch, with the adaptation's term at full weight, and not that of the source alone."""
    weight = {"adaptation__weight": 1e6 if name == "coral" else 1.0}
    result = run(config(name, adaptation__ramp=0.0, **weight), tmp_path)
    swept = lr_find.sweep(config(name, **weight), "all", [1e-6] * 11)["all"]
    plain = lr_find.sweep(config(""), "all", [1e-6] * 11)["all"]
    assert swept.losses[0] == pytest.approx(small.losses(tmp_path)[0], rel=1e-6) and result["step"] > 1
    assert swept.losses[0] > 1.01 * plain.losses[0] and len(swept.losses) == 11
    if name == "dann":
        groups = lr_find.sweep(config(name), "each", [1e-6] * 11)
        assert list(groups) == ["features", "head", "domain"]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"strategy__name": "auto"}, "name=auto measures one domain and knows nothing of a second: with config.adap"),
        ({"data__unlabelled": ()}, "config.adaptation.name and .*=entropy need config.data.unlabelled: splits"),
        ({"name": "", "data__unlabelled": (), "train__select": "entropy"}, "need config.data.unlabelled"),
        ({"task__mixup": 0.2}, "must be 0 with config.adaptation.name: mixed examples have no domain"),
        ({"data__targets": (), "train__oracle": True}, "config.train.oracle needs config.data.targets"),
        ({"train__select": "luck"}, "config.train.select must be validation or entropy; got 'luck'"),
        ({"name": "adabn"}, "name=adabn measures BatchNorm statistics, and this network has no BatchNorm"),
        ({"name": "mmd", "adaptation__estimator": "best"}, "estimator must be one of 'unbiased', 'biased'; got 'best'"),
        ({"strategy__name": "linear_probe"}, "name=dann changes the features .* no group before the head learns"),
        ({"strategy__name": "classic"}, "no group before the head learns"),
        ({"groups": {"domain": "conv1..fc1", "head": "head"}}, "dann adds a group 'domain'; give yours"),
    ],
)
def test_what_does_not_go_together(two_domains, tmp_path, pretrained, changes, text):
    with pytest.raises(ConfigError, match=text):
        run(config(**{"model__weights": pretrained} | changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_fitted_classifier_is_not_asked_about_the_unlabelled(two_domains, tmp_path, pretrained):
    result = run(config("", strategy__name="classic", model__weights=pretrained), tmp_path)
    assert set(result["metrics"]) == {"train", "validation", "test", "bright"} and result["source"] == "dark"
