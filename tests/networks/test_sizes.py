"""A variant by its name, its fields or itself; and depths read from names."""

import dataclasses
import json

import pytest

from tljax.core.errors import ConfigError
from tljax.networks import sizes
from tljax.networks.families import resnet, vit

WHAT = "model.variant of 'resnet'"


def test_a_name_its_fields_and_itself_mean_the_same():
    one = dataclasses.replace(resnet.VARIANTS["50"], widths=(8, 16, 32, 80))
    assert sizes.variant(resnet.VARIANTS, "50", WHAT) is resnet.VARIANTS["50"]
    assert sizes.variant(resnet.VARIANTS, one, WHAT) is one
    assert sizes.variant(resnet.VARIANTS, json.loads(json.dumps(dataclasses.asdict(one))), WHAT) == one
    hash(resnet.variant_of(json.loads(json.dumps(dataclasses.asdict(one)))))  # flax needs it: tuples, not lists


def test_a_family_takes_all_three():
    shape = vit.Variant(patch=8, width=40, heads=5, depth=3)
    assert vit.build(dataclasses.asdict(shape)).variant == vit.build(shape).variant == shape
    assert vit.names(dataclasses.asdict(shape)) == vit.names(shape)


@pytest.mark.parametrize("said", ["19", {"blocks": [1]}, {"depth": 3}])
def test_what_is_none_of_them_is_named(said):
    with pytest.raises(ConfigError, match=rf"{WHAT} must (be one of 18, 34|have the fields of Variant: .*)"):
        sizes.variant(resnet.VARIANTS, said, WHAT)


def test_the_nearest_entry_and_what_differs_from_it():
    shape = dataclasses.replace(vit.VARIANTS["small32"], eps=1e-5, depth=11)
    assert sizes.nearest(vit.VARIANTS, shape) == ("small32", {"depth": (11, 12), "eps": (1e-5, 1e-6)})
    assert sizes.nearest(vit.VARIANTS, vit.VARIANTS["base16_reg8_gap"]) == ("base16_reg8_gap", {})


def test_depths_are_in_the_order_of_stages():
    names = [f"layer{s}.{b}.conv1.weight" for s, n in ((10, 1), (2, 3), (1, 2)) for b in range(n)] + [
        "layer3.0.conv2.w"
    ]
    assert sizes.depths(names, r"layer(\d+)\.\d+\.conv1\.weight") == (2, 3, 1)
