"""What a config names, as a whole: stochastic depth reaches the network that has it, and no other is given it."""

import threading

import pytest
from ml_collections import ConfigDict

from tests import small
from tljax.commands import lr_find
from tljax.core.errors import ConfigError
from tljax.core.plugins import find
from tljax.data.inputs import image
from tljax.networks.families import vit
from tljax.networks.vision_transformer import Variant
from tljax.runs import experiment
from tljax.runs.run import run
from tljax.serving import saved_model


def vit_config(monkeypatch, **changes):
    """A ViT of two blocks on digits."""
    monkeypatch.setitem(vit.VARIANTS, "two", Variant(4, 8, 2, 2))
    config = small.config(model__family="vit", model__variant="two", data__channels=3, **changes)
    config.model.card.update(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    config.groups = ConfigDict()
    return config


@pytest.mark.parametrize("rate", [0.0, 0.25])
def test_stochastic_depth_is_a_key(monkeypatch, rate):
    made = experiment.load(vit_config(monkeypatch, model__drop_path=rate), axis=None, pretrained_wanted=False)
    assert made.network.backbone.drop_path == rate
    assert made.stages == ("embed", "block0", "block1", "norm")


def test_a_family_without_it_says_so():
    with pytest.raises(ConfigError, match=r"needs a family with stochastic depth .*'lenet' has none. Set"):
        experiment.load(small.config(model__drop_path=0.1), axis=None, pretrained_wanted=False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"groups__head": "head stage9"}, "'stage9' matches no parameter"),
        ({"model__copied_stages": 9}, "copied_stages must be at most"),
    ],
)
def test_what_does_not_fit_the_network_is_said_before_a_picture_is_decoded(monkeypatch, changes, message):
    monkeypatch.setattr(image, "Pictures", lambda *_: pytest.fail("a picture was decoded"))
    with pytest.raises(ConfigError, match=message):
        experiment.load(small.config(**changes), axis=None, pretrained_wanted=False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategy__name": "groups", "strategy__scales__conv9": 1.0}, "without a group: conv9"),
        ({"strategy__name": "last_k", "strategy__last_k": 9}, "last_k must be"),
        ({"strategy__name": "lora", "strategy__kernels": "conv9"}, "'conv9'"),
        ({"strategy__name": "full", "strategy__moving_statistics": ("conv9",)}, "got conv9"),
        ({"strategy__name": "auto", "strategy__moving_statistics": ("conv9",)}, "got conv9"),
    ],
)
@pytest.mark.parametrize("command", ["run", "lr_find"])
def test_what_does_not_fit_the_strategy_is_said_before_a_picture_is_decoded(
    monkeypatch, tmp_path, command, changes, message
):
    made = experiment.load(small.config(), axis=None, pretrained_wanted=False)
    saved_model.save(tmp_path / "model", made.variables, made, small.config())
    monkeypatch.setattr(image, "Pictures", lambda *_: pytest.fail("a picture was decoded"))
    config = small.config(model__weights=str(tmp_path / "model"), **changes)
    with pytest.raises(ConfigError, match=message):
        run(config, tmp_path / "run") if command == "run" else lr_find.sweep(config, "all", (1e-3, 1e-2))
    assert not (tmp_path / "run").exists()


def test_a_source_is_imported_by_no_thread_beside_others(monkeypatch):
    """TFDS replaces `builtins.__import__` while it is imported; another thread's imports then fail, or are lazy."""
    found = {}

    def noted(folder, name):
        found[folder] = threading.current_thread() is threading.main_thread()
        return find(folder, name)

    monkeypatch.setattr(experiment, "find", noted)
    experiment.load(small.config(), axis=None, pretrained_wanted=False)
    assert found["sources"]


def test_lora_keeps_the_networks_own_stochastic_depth(monkeypatch, tmp_path):
    config = vit_config(monkeypatch, strategy__name="lora", train__epochs=1.0)
    made = experiment.load(config, axis=None, pretrained_wanted=False)
    saved_model.save(tmp_path / "model", made.variables, made, config)
    config.model.weights = str(tmp_path / "model")
    losses = {}
    for rate in (0.0, 0.8):
        config.model.drop_path = rate
        run(config, tmp_path / f"{rate}")
        losses[rate] = small.losses(tmp_path / f"{rate}").tolist()
    assert losses[0.0] != losses[0.8]
