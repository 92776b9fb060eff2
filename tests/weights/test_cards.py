"""The card beside the weights: ours, that of transformers, that of timm."""

import json

import numpy as np
import pytest
import safetensors.numpy

from tljax.core.errors import WeightsError
from tljax.core.types import Card
from tljax.weights import cards
from tljax.weights.sources import file

CARD = Card(mean=(0.5,), std=(0.25,))


def saved(path):
    """A whole file of the kind that the suffix says."""
    if path.suffix == ".npz":
        np.savez(path, a=np.ones(2, np.float32))
    else:
        safetensors.numpy.save_file({"a": np.ones(2, np.float32)}, path)


def test_the_card_beside_the_file_wins_over_the_one_given(tmp_path):
    path = tmp_path / "net.v1.safetensors"
    saved(path)
    beside = Card(mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 3.0), channel_order="BGR", classes=3)
    (tmp_path / "net.v1.card.json").write_text(json.dumps(beside.as_dict()))
    assert file.read(str(path), card=CARD).card == beside
    assert file.read_card(str(path)) == beside


def test_the_folder_of_a_run_is_read_with_its_card(tmp_path, monkeypatch):
    saved(tmp_path / "model.safetensors")
    (tmp_path / "card.json").write_text(json.dumps(CARD.as_dict()))
    assert file.read(str(tmp_path)).card == CARD
    monkeypatch.setenv("HOME", str(tmp_path.parent))
    assert file.read(f"~/{tmp_path.name}").card == CARD


def test_card_json_speaks_for_a_folder_not_for_a_file_in_it(tmp_path):
    saved(tmp_path / "model.safetensors")
    (tmp_path / "card.json").write_text(json.dumps(CARD.as_dict()))
    with pytest.raises(WeightsError, match="scaling of pixels must be known"):
        file.read(str(tmp_path / "model.safetensors"))


def test_without_a_card_the_keys_and_the_place_for_one_are_named(tmp_path):
    path = tmp_path / "net.npz"
    saved(path)
    with pytest.raises(WeightsError, match=r"config\.model\.card\.mean and config\.model\.card\.std.*net\.card\.json"):
        file.read(str(path))


def test_a_damaged_file_without_a_card_is_one_error_of_both(tmp_path):
    (tmp_path / "net.npz").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"is an empty file(?s:.*)scaling of pixels must be known"):
        file.read(str(tmp_path / "net.npz"))


def test_caffes_convention_needs_no_std(tmp_path):
    path = tmp_path / "net.safetensors"
    saved(path)
    for std in ("", ', "std": []'):
        (tmp_path / "net.card.json").write_text(f'{{"mean": [104, 117, 124], "scale": 1{std}}}')
        assert file.read(str(path), card=None).card.std == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Expecting property name"),
        ("[]", "has no attribute"),
        ('{"std": [0.5]}', "missing 1 required positional argument: 'mean'"),
        ('{"mean": [0.5]}', r"std must be as many numbers as mean \(1\), unless scale is 1; got \(\)"),
        ('{"mean": [0.5], "std": [1], "colour": "RGB"}', "unexpected keyword argument 'colour'"),
        ('{"mean": [0.5], "std": [1, 2]}', "std must be as many numbers as mean"),
        ('{"mean": [0.5], "std": [0]}', "std must be all > 0"),
        ('{"mean": [0.5], "std": [-1]}', "std must be all > 0"),
        ('{"mean": [NaN], "std": [1]}', "mean must be numbers"),
        ('{"mean": ["x"], "std": [1]}', "mean must be numbers"),
        ('{"mean": [0.5], "std": [1], "channel_order": "bgr"}', "channel_order must be RGB or BGR; got 'bgr'"),
        ('{"mean": [0.5], "std": [1], "scale": 0}', "scale must be a finite number > 0; got 0"),
        ('{"mean": [0.5], "std": [1], "size": "224"}', r"size must be a whole number in \[0, 2048\]; got '224'"),
        ('{"mean": [0.5], "std": [1], "crop": 1.5}', r"crop must be 0 or in \[0\.05, 1\]; got 1.5"),
        ('{"mean": [0.5], "std": [1], "interpolation": "trilinear"}', "interpolation must be bilinear, .*; got 'tri"),
    ],
)
def test_a_card_that_cannot_be_used_is_named(tmp_path, text, message):
    path = tmp_path / "net.safetensors"
    saved(path)
    (tmp_path / "net.card.json").write_text(text)
    with pytest.raises(WeightsError, match=rf"The card '.*net\.card\.json' must be JSON .*{message}"):
        file.read(str(path), card=CARD)


# What others write beside their weights: the values that transformers 5.23's image processors save.
VIT = {
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.5] * 3,
}
VIT |= {"resample": 2, "rescale_factor": 1 / 255, "size": {"height": 224, "width": 224}}
PROCESSORS = {
    "squeezed to a square": (VIT, {"size": 224, "crop": 1.0, "interpolation": "bilinear", "scale": 255.0}),
    "cut from a larger one": (
        VIT | {"crop_pct": 0.875, "resample": 3, "size": {"shortest_edge": 224}},
        {"size": 224, "crop": 0.875, "interpolation": "bicubic"},
    ),
    "384 and more are not cut": (VIT | {"crop_pct": 0.875, "size": {"shortest_edge": 384}}, {"size": 384, "crop": 1.0}),
    "a central crop": (
        VIT | {"do_center_crop": True, "crop_size": {"height": 224, "width": 224}, "size": {"shortest_edge": 256}},
        {"size": 224, "crop": 0.875},
    ),
    "a crop that is off": (VIT | {"do_center_crop": False, "crop_size": {"height": 96, "width": 96}}, {"size": 224}),
    "sizes as numbers": (VIT | {"size": 256, "crop_size": 224, "do_center_crop": True}, {"size": 224, "crop": 0.875}),
    "to -1..1": (VIT | {"rescale_factor": 1 / 127.5, "resample": 0}, {"scale": 127.5, "interpolation": "nearest"}),
    "not scaled": (VIT | {"do_rescale": False}, {"scale": 1.0}),
    "not normalised": (VIT | {"do_normalize": False}, {"mean": (0.0,) * 3, "std": (1.0,) * 3}),
}


@pytest.mark.parametrize("name", PROCESSORS)
def test_the_card_of_a_folder_of_transformers(tmp_path, name):
    said, expected = PROCESSORS[name]
    saved(tmp_path / "model.safetensors")
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(said))
    found = file.read(str(tmp_path)).card
    expected = {"mean": (0.5, 0.4, 0.3), "std": (0.5,) * 3} | expected
    assert {key: getattr(found, key) for key in expected} == expected
    assert found.sources == {"preprocessing": "preprocessor_config.json"}


def test_the_card_of_a_folder_of_timm(tmp_path):
    saved(tmp_path / "model.safetensors")
    said = {
        "mean": [0.1] * 3,
        "std": [0.2] * 3,
        "interpolation": "bicubic",
        "input_size": [3, 160, 160],
        "crop_pct": 0.95,
    }
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "resnet18", "pretrained_cfg": said}))
    found = file.read(str(tmp_path)).card
    assert (found.mean, found.std, found.interpolation) == ((0.1,) * 3, (0.2,) * 3, "bicubic")
    assert (found.size, found.crop) == (160, 0.95)


def test_our_card_stands_before_that_of_others(tmp_path):
    saved(tmp_path / "model.safetensors")
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(VIT))
    (tmp_path / "card.json").write_text(json.dumps(CARD.as_dict()))
    assert cards.beside(tmp_path) == CARD


def test_a_processor_that_leaves_out_the_mean_is_named(tmp_path):
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_std": [1.0]}))
    with pytest.raises(WeightsError, match=r"preprocessor_config\.json' must be JSON .*image_mean"):
        cards.beside(tmp_path)
