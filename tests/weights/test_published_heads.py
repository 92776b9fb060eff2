"""Heads of torchvision's published networks beside their backbone: kept under the names here, taken if one asks."""

import dataclasses

import numpy as np
import pytest

from tljax.core.errors import WeightsError
from tljax.core.types import Card, Name, Published
from tljax.networks.families import resnet
from tljax.networks.network import with_head
from tljax.networks.segmentation.heads import Fcn
from tljax.weights import head_names, placement, wrappers

FOUR = resnet.Variant((1, 1, 1, 1), bottleneck=True, width=8, dilated=2)
BACKBONE = {
    f"backbone.{row.published}": np.zeros(2, np.float32) for row in resnet.names("18") if "fc" not in row.published
}
FCN = {f"classifier.{name}": np.zeros((2, 2, 1, 1)) for name in ("0.weight", "4.weight")} | {
    f"classifier.{name}": np.full(2, i) for i, name in enumerate(("1.weight", "1.running_var", "4.bias"))
}


def taken(arrays, families=("resnet",)):
    return wrappers.taken_off(Published(arrays, Card(mean=()), "x.pth"), families)


def test_the_head_of_a_segmentation_is_kept_under_its_names_here():
    found, notes = taken(BACKBONE | FCN | {"aux_classifier.0.weight": np.zeros(2)})
    assert {name for name in found.arrays if name.startswith("head.")} == {
        "head.inner.conv.kernel", "head.inner.bn.scale", "head.inner.bn.var", "head.classifier.kernel",
        "head.classifier.bias",
    }  # fmt: skip
    assert found.arrays["head.inner.bn.var"].tolist() == [1, 1] and found.config == {"dilated": 2}
    assert any("head: of FCN, 5 tensors; config.model.keep_head=true" in note for note in notes)
    assert any("left out, not part of the network: aux_classifier.0.weight" in note for note in notes)


def test_a_classifier_of_ones_own_with_the_same_names_is_none():
    dense = {name: np.zeros((2, 2)) if x.ndim == 4 else x for name, x in FCN.items()}
    found, _ = taken(BACKBONE | dense)
    assert found.config == {} and not any(name.startswith("head.") for name in found.arrays)


def test_sides_of_boxes_are_put_in_the_order_here():
    """torchvision's left, top, right, bottom are our top, left, bottom, right."""
    body = {f"backbone.body.{name.removeprefix('backbone.')}": x for name, x in BACKBONE.items()}
    reg = "head.regression_head.bbox_reg"
    theirs = {f"{reg}.weight": np.arange(4.0).reshape(4, 1, 1, 1), f"{reg}.bias": np.arange(4.0)}
    theirs |= {"head.regression_head.bbox_ctrness.weight": np.zeros((1, 1, 3, 3))}
    theirs |= {"backbone.fpn.inner_blocks.0.0.weight": np.zeros(1), "backbone.fpn.layer_blocks.1.bias": np.ones(1)}
    found, _ = taken(body | theirs)
    for name in ("conv.kernel", "bias"):
        assert found.arrays[f"head.sides.{name}"].reshape(-1).tolist() == [1, 0, 3, 2]
    assert "head.pyramid.inner0.kernel" in found.arrays and "head.pyramid.layer1.bias" in found.arrays


def test_only_what_fits_is_kept_and_nothing_at_all_is_an_error():
    network = with_head(backbone := resnet.build(FOUR), Fcn.on(backbone, 3))
    example = np.zeros((1, 32, 32, 3), np.float32)
    names = head_names.complete(network, example, resnet.names(FOUR))
    heads = [row for row in names if row.path.startswith("head/")]
    arrays = {
        row.published: np.zeros(placement.published_shape(leaf, row.layout))
        for row in heads
        if (leaf := shape(network, example, row))
    }
    whole = Published(arrays, Card(mean=()), "x.pth")
    assert head_names.unfitting(network, example, names, whole) == ()
    other = dataclasses.replace(whole, arrays=arrays | {"head.classifier.bias": np.zeros(4)})
    assert head_names.unfitting(network, example, names, other) == ("head/classifier/bias",)
    with pytest.raises(WeightsError, match=r"keep_head=true needs weights with a head of this form; 'x.pth' has none"):
        head_names.unfitting(network, example, names, dataclasses.replace(whole, arrays={}))


def shape(network, example, row: Name):
    """The shape of a row's parameter here."""
    node = placement.shapes(network, example)[row.collection]
    for part in row.path.split("/"):
        node = node[part]
    return node.shape
