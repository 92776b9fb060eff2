"""A real family as a file outside the package: DenseNet, copied, gives the run that tljax's own gives."""

from pathlib import Path

import numpy as np
import safetensors.numpy
import small
from ml_collections import ConfigDict
from reference import draw
from reference import vgg_convnext as shared

from tljax.__main__ import main
from tljax.core import plugins
from tljax.networks.families import densenet
from tljax.runs.run import run

TINY = densenet.Variant((2, 1, 1, 2), growth=4, width=6, inner=2)


def test_a_family_of_ones_own_trains_and_is_asked_as_one_of_ours(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(plugins, "_given", {})
    own = tmp_path / "my_densenet.py"
    own.write_text(Path(densenet.__file__).read_text(encoding="utf-8"), encoding="utf-8")
    network = shared.network(densenet, TINY, classes=5)
    weights = tmp_path / "weights.safetensors"
    safetensors.numpy.save_file(draw.weights(shared.published_shapes(densenet, network)), weights)
    found = {}
    for name, family in {"ours": "densenet", "own": str(own)}.items():
        config = small.config(
            model__family=family, model__variant="auto", model__weights=str(weights), data__size=32, data__channels=3,
            strategy__name="layer_decay", train__epochs=1.0,
        )  # fmt: skip
        config.groups, config.strategy.scales = ConfigDict(), ConfigDict()
        config.model.card.update(mean=(0.3,) * 3, std=(0.38,) * 3)
        found[name] = run(config, tmp_path / name)["metrics"]
    assert found["own"] == found["ours"]
    np.testing.assert_array_equal(small.losses(tmp_path / "own"), small.losses(tmp_path / "ours"))
    monkeypatch.setattr(plugins, "_given", {})
    export = ["export", str(tmp_path / "own"), "--to=npz"]
    assert main(export) == 2 and "--plugins FILE" in capsys.readouterr().err
    assert main([*export, "--plugins", str(own)]) == 0
