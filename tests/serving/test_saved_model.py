"""The folder model/: what was trained comes back exactly, with all that predicting needs, and never code."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from reference import ours_vit

from tests import small
from tljax.core.errors import ConfigError, DataError, WeightsError
from tljax.core.trees import flatten
from tljax.core.types import Card, Published
from tljax.data import preprocess
from tljax.networks.families import lenet, vit
from tljax.networks.network import Network
from tljax.runs import experiment
from tljax.serving import saved_model
from tljax.tasks import classification
from tljax.weights import placement, pretrained

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
    variables = placement.init(network, preprocess.example(config.data, CARD), seed=3)
    published = Published({}, dataclasses.replace(CARD, repository="timm/x"), "a file")
    saved_model.save(tmp_path / "model", variables, made(config, published), config)
    return tmp_path / "model", network, variables


def test_a_round_trip_is_exact(saved):
    folder, network, variables = saved
    published = pretrained.read(str(folder), card=None, lock=folder / "lock.json")
    other = placement.init(network, preprocess.example(small.config().data, CARD), seed=4)
    placed, kept = placement.place(other, published, lenet.names("small"), head=True)
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
    sha256 = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert (card.revision, card.sha256, card.file) == ("", sha256, "model.safetensors")
    # Two convolutions on 8x8 and 4x4, a dense layer and the head of the experiment's five classes.
    assert card.gflops == float(f"{2 * (9 * 16 * 64 + 9 * 16 * 32 * 16 + 128 * 64 + 64 * 5) / 1e9:.3g}") == 0.000183


@pytest.mark.parametrize("place", [0.3, 0.6, 0.99])
def test_weights_that_are_not_as_they_were_written_are_refused(saved, place):
    """By predict and export, which load the folder, and by the next run, which reads its weights."""
    folder, *_ = saved
    file = folder / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[int(place * len(data))] ^= 1
    file.write_bytes(data)
    for read in (saved_model.load, lambda place: pretrained.read(str(place), card=None, lock=place / "lock.json")):
        with pytest.raises(WeightsError, match=r"must be as they were written; .* the sha256 must"):
            read(folder)


def test_what_predicting_needs(saved):
    folder, _, _ = saved
    assert json.loads((folder / "model.json").read_text()) == {
        "family": "lenet",
        "variant": "small",
        "dtype": "float32",
        "task": "classification",
        "classes": list(CLASSES),
        "started_from": "timm/x",
        "input": {"resize": 8, "crop": 0, "size": 8, "channels": 1},  # resize: the digits as they are stored
        "temperature": 1.0,
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


def test_a_disk_that_takes_no_weights_is_left_without_a_folder(tmp_path, monkeypatch):
    def full(*_, **__):
        raise safetensors.SafetensorError("Error while serializing: No space left on device (os error 28)")

    config = small.config()
    network = Network(lenet.build("small"), classification.head(3))
    variables = placement.init(network, preprocess.example(config.data, CARD), seed=3)
    monkeypatch.setattr(safetensors.numpy, "save_file", full)
    with pytest.raises(ConfigError, match="model.safetensors' is refused: the disk is full"):
        saved_model.save(tmp_path / "run" / "model", variables, made(config, None), config)
    assert list((tmp_path / "run").iterdir()) == []


def test_what_was_saved_is_loaded_again(saved):
    folder, network, variables = saved
    model = saved_model.load(folder)
    assert small.bits(model.variables) == small.bits(variables)
    assert (model.classes, model.family, model.variant, model.stored) == (CLASSES, "lenet", "small", (8, 8, 1))
    assert model.names == lenet.names("small")
    assert (model.card.mean, model.card.crop, model.card.size) == (CARD.mean, 1.0, 8)
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)
    expected = network.apply(variables, (images / np.float32(255) - np.float32(0.3)) / np.float32(0.38))
    np.testing.assert_allclose(model.logits(model.variables, {"image": images}), expected, rtol=1e-5, atol=1e-6)


def test_sizes_that_stand_in_no_table_are_saved_as_they_are(tmp_path):
    config, sizes = small.config(), lenet.VARIANTS["small"]
    network = Network(lenet.build("small"), classification.head(3))
    variables = placement.init(network, preprocess.example(config.data, CARD), seed=3)
    one = dataclasses.replace(made(config, None), variant=dataclasses.replace(sizes))
    saved_model.save(tmp_path, variables, one, config)
    said = json.loads((tmp_path / "model.json").read_text())
    assert said["variant"] == dataclasses.asdict(sizes)
    assert json.loads((tmp_path / "card.json").read_text())["variant"] == "auto"
    assert small.bits(saved_model.load(tmp_path).variables) == small.bits(variables)


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "No such file"), ("{", "Expecting"), ('{"family": "lenet"}', "lacks variant, dtype, task, input, classes")],
)
def test_a_folder_without_a_finished_run_is_an_error(saved, content, why):
    file = saved[0] / "model.json"
    file.unlink() if content is None else file.write_text(content)
    with pytest.raises(DataError, match="A finished run must hold model/model.json") as raised:
        saved_model.load(saved[0])
    assert why in str(raised.value)


def test_two_classifiers_are_two_again(tmp_path):
    """Of a distilled DeiT: timm has them apart, where a head of ours is on both tokens."""
    with ours_vit.cut("deit_tiny16_distilled", depth=1) as variant:
        network = ours_vit.network(variant, classes=3)
        variables = placement.init(network, np.zeros((1, 32, 32, 3), np.float32), seed=0)
        variables["params"]["head"]["bias"] += np.float32([1, 2, 3])
        arrays = saved_model.published_arrays(variables, vit.names(variant), "vit")
        again = ours_vit.placed(variant, arrays, (32, 32), classes=3)
    assert {name: x.shape for name, x in arrays.items() if "head" in name} == {
        "head.weight": (3, 192), "head.bias": (3,), "head_dist.weight": (3, 192), "head_dist.bias": (3,)
    }  # fmt: skip
    assert small.bits(again) == small.bits(variables)
