"""The folder model/: what was trained comes back exactly, with all that predicting needs, and never code."""

import dataclasses
import json

import numpy as np
import pytest
import safetensors.numpy

from tests import small
from tljax import experiment, preprocess, pretrained, saved_model
from tljax.models import lenet
from tljax.network import Network
from tljax.tasks import classification
from tljax.types import Card, Published, flatten

CLASSES = ("five", "six", "seven")
CARD = Card(mean=(0.3,), std=(0.38,), revision="a" * 40, sha256="b" * 64, file="old.safetensors", licence="MIT")


def made(config, published):
    """An experiment on digits that says it has other classes, another card and other weights."""
    one = experiment.load(config, axis=None, pretrained_wanted=False)
    return dataclasses.replace(one, classes=CLASSES, card=CARD, published=published)


@pytest.fixture
def saved(tmp_path):
    """(the folder, the network, its variables)"""
    config = small.config()
    network = Network(lenet.build("small"), classification.head(3))
    variables = pretrained.init(network, preprocess.example(config.data), seed=3)
    published = Published({}, dataclasses.replace(CARD, repository="timm/x"), "a file")
    saved_model.save(tmp_path / "model", variables, made(config, published), config)
    return tmp_path / "model", network, variables


def test_a_round_trip_is_exact(saved):
    folder, network, variables = saved
    published = pretrained.read(str(folder), card=None, lock=folder / "lock.json")
    other = pretrained.init(network, preprocess.example(small.config().data), seed=4)
    placed, kept = pretrained.place(other, published, lenet.names("small"), head=True)
    assert kept == ()
    old, new = flatten(variables["params"]), flatten(placed["params"])
    assert old.keys() == new.keys()
    for path in old:
        np.testing.assert_array_equal(new[path], old[path], err_msg=path)


def test_tensors_are_published_in_torchs_names_and_layouts(saved):
    folder, _, variables = saved
    arrays = safetensors.numpy.load_file(folder / "model.safetensors")
    assert list(arrays) == sorted(row.published for row in lenet.names("small"))
    assert arrays["conv1.weight"].shape == (16, 1, 3, 3) and arrays["fc.weight"].shape == (3, 64)
    np.testing.assert_array_equal(arrays["fc.weight"], np.asarray(variables["params"]["head"]["kernel"]).T)


def test_the_card_is_of_these_weights(saved):
    folder, _, variables = saved
    card = Card(**json.loads((folder / "card.json").read_text()))
    assert (tuple(card.mean), tuple(card.std), card.licence) == (CARD.mean, CARD.std, "MIT")
    assert (card.family, card.variant, card.classes, card.size) == ("lenet", "small", 3, 8)
    assert card.parameters == sum(leaf.size for leaf in flatten(variables["params"]).values())
    assert (card.revision, card.sha256, card.file) == ("", "", "model.safetensors")


def test_what_predicting_needs(saved):
    folder, _, _ = saved
    assert json.loads((folder / "model.json").read_text()) == {
        "family": "lenet",
        "variant": "small",
        "task": "classification",
        "classes": list(CLASSES),
        "started_from": "timm/x",
        "input": {"resize": 0, "crop": 0, "size": 8, "channels": 1},
    }
    assert sorted(file.name for file in folder.iterdir()) == ["card.json", "model.json", "model.safetensors"]


def test_saving_again_replaces(saved):
    folder, _, variables = saved
    before = (folder / "model.safetensors").read_bytes()
    variables["params"]["head"]["bias"] = variables["params"]["head"]["bias"] + 1
    saved_model.save(folder, variables, made(small.config(), None), small.config())
    assert (folder / "model.safetensors").read_bytes() != before
    assert json.loads((folder / "card.json").read_text())["licence"] == ""  # it came from no weights
    assert len(list(folder.iterdir())) == 3
