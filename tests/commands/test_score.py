"""tljax score: real features of two weights, one table; what has no classifier of its own has no LEEP."""

import json

import jax
import numpy as np
import pytest
import safetensors.numpy
from scipy.special import softmax

from tests import small
from tljax.__main__ import main
from tljax.commands import score
from tljax.core.errors import ConfigError
from tljax.core.types import EVALUATE
from tljax.runs import experiment
from tljax.runs.run import run
from tljax.transfer import transferability


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TLJAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(score.cli, "keep_compiled", lambda: None)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A network that learned digits 0 to 4, and one that hardly learned."""
    folder = tmp_path_factory.mktemp("weights")
    for name, epochs in (("good", 20.0), ("poor", 0.1)):
        config = small.config(
            train__epochs=epochs, data__classes=("0", "1", "2", "3", "4"), data__examples_per_class=40
        )
        run(config, folder / name)
    return folder


def test_the_table_and_its_numbers(tmp_path, weights, capsys):
    """Against the network's own pooled features and logits, on the training part."""
    entries = [f"{weights}/{name}/model" for name in ("poor", "good")]
    flags = ["--config", "configs/digits.py", "--config.data.examples_per_class=30"]
    assert main(["score", *flags, "--weights", ",".join(entries), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert said.index("good/model") < said.index("poor/model") and "150 rows (64,), 150 computed" in said
    found = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert list(found) == entries[::-1]
    assert all(found[entries[1]][name] > found[entries[0]][name] for name in ("LogME", "LEEP"))

    config = small.config(model__weights=entries[1], data__examples_per_class=30)
    made = experiment.load(config, axis=None)
    batch = made.parts["train"].take(np.arange(150))
    inputs = made.prepare(batch, jax.random.key(0), False)["inputs"]
    rows = made.network.apply(made.variables, inputs, EVALUATE, method="features")
    arrays = safetensors.numpy.load_file(weights / "good" / "model" / "model.safetensors")
    logits = np.asarray(rows) @ arrays["fc.weight"].T + arrays["fc.bias"]
    row = found[entries[1]]
    assert (row["examples"], row["width"]) == (150, 64)
    assert row["LEEP"] == pytest.approx(transferability.leep(softmax(logits, axis=1), batch["label"]), rel=1e-5)
    assert row["LogME"] == pytest.approx(transferability.logme(np.asarray(rows), batch["label"]), rel=1e-5)

    assert main(["score", *flags, "--weights", entries[1]]) == 0
    assert "150 rows (64,), all found" in capsys.readouterr().out


def test_weights_without_a_classifier(tmp_path, weights):
    arrays = safetensors.numpy.load_file(weights / "good" / "model" / "model.safetensors")
    kept = {name: array for name, array in arrays.items() if not name.startswith("fc.")}
    safetensors.numpy.save_file(kept, tmp_path / "backbone.safetensors")
    row = score.score(small.config(model__weights=str(tmp_path / "backbone.safetensors")))
    assert row["LEEP"] is None and row["NCE"] is None and row["kNN"] > 0.5
    assert row["H-score"] is None, "50 examples of 64 features"


def test_one_that_fails_does_not_lose_the_others(tmp_path, weights, capsys):
    good = f"{weights}/good/model"
    command = ["score", "--config.data.examples_per_class=30", "--weights", f"{tmp_path}/none.safetensors,{good}"]
    assert main(command) == 4
    said = capsys.readouterr()
    assert "none.safetensors:" in said.out and "good/model" in said.out.split("by LogME")[1]


def test_an_entry_says_family_and_card():
    config = small.config()
    entry = "a.safetensors:model.variant=small:model.card.std=(0.5,)"
    one = score._configured(config, entry)
    assert (one.model.weights, one.model.card.std, one.model.card.mean) == ("a.safetensors", (0.5,), (0.3,))
    assert score._name(entry, [entry, "b"]) == "a.safetensors" and score._name(entry, [entry, "a.safetensors"]) == entry
    zoo = score._configured(config, "timm/resnet18.tv_in1k")
    assert dict(one.groups) == {} and dict(config.groups) != {}, "other families have other stages"
    assert (zoo.model.family, zoo.model.variant, zoo.model.card.mean) == ("resnet", "18", ())
    with pytest.raises(ConfigError, match="--weights A,B or --config.model.weights=A"):
        score._configured(config, "")
