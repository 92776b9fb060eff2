"""Files and folders of weights on this machine: where they are looked for, and what stands beside them."""

import json

import numpy as np
import pytest
import safetensors.numpy

from tljax.core.errors import WeightsError
from tljax.core.types import Card
from tljax.weights.sources import file

CARD = Card(mean=(0.5,), std=(0.25,))
ARRAYS = {"a": np.ones(2, np.float32)}


def test_a_file_is_read_with_the_card_that_is_given(tmp_path):
    safetensors.numpy.save_file(ARRAYS, tmp_path / "net.safetensors")
    published = file.read(str(tmp_path / "net.safetensors"), card=CARD)
    assert (published.card, published.where, published.config) == (CARD, str(tmp_path / "net.safetensors"), {})
    np.testing.assert_array_equal(published.arrays["a"], ARRAYS["a"])


def test_an_absent_file_says_how_to_name_one(tmp_path):
    with pytest.raises(WeightsError, match=r"no file '.*gone\.npz'(?s:.*)--config\.model\.weights="):
        file.read(str(tmp_path / "gone.npz"), card=CARD)


def test_a_folder_means_its_safetensors_and_nothing_else_in_it(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"PK\x03\x04")
    (tmp_path / "model.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(WeightsError, match=r"no file '.*model\.safetensors'"):
        file.read(str(tmp_path), card=CARD)


@pytest.mark.parametrize("suffix", [".h5", ".msgpack", ""])
def test_a_suffix_that_nobody_reads_says_what_to_do(tmp_path, suffix):
    (tmp_path / f"net{suffix}").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"must end in .*\.safetensors.*; got .*Convert it with the library"):
        file.read(str(tmp_path / f"net{suffix}"), card=CARD)


@pytest.mark.parametrize(
    ("spec", "names", "said"),
    [
        ("", ["model.json", "config.json"], "model.json"),
        ("", ["config.json"], "config.json"),
        ("model.safetensors", ["model.json", "config.json"], "model.json"),
        ("model.safetensors", ["config.json"], "config.json"),
        ("net.safetensors", ["net.json", "config.json"], "net.json"),
        ("net.safetensors", ["config.json"], None),
    ],
)
def test_the_config_beside_the_weights(tmp_path, spec, names, said):
    for name in ("model.safetensors", "net.safetensors"):
        safetensors.numpy.save_file(ARRAYS, tmp_path / name)
    for name in names:
        (tmp_path / name).write_text(json.dumps({"I am": name}))
    assert file.read(str(tmp_path / spec), card=CARD).config == ({"I am": said} if said else {})


def test_a_config_that_is_no_json_is_named(tmp_path):
    safetensors.numpy.save_file(ARRAYS, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(WeightsError, match=r"config\.json' must hold a JSON object: got list"):
        file.read(str(tmp_path), card=CARD)
