"""EfficientNet against stored torch outputs, without torch: scripts/make_reference_outputs.py wrote them."""

import dataclasses

import numpy as np
import pytest
from reference import draw
from reference import vgg_convnext as shared

from tests.networks.test_inverted_residual_names import published
from tljax.core.errors import ConfigError
from tljax.core.trees import count, flatten
from tljax.networks.families import efficientnet
from tljax.weights import placement

PARAMETERS = {
    "b0": 5_288_548,
    "b1": 7_794_184,
    "b2": 9_109_994,
    "b3": 12_233_232,
    "b4": 19_341_616,
    "b5": 30_389_784,
    "b6": 43_040_704,
    "b7": 66_347_960,
    "v2_s": 21_458_488,
    "v2_m": 54_139_356,
    "v2_l": 118_515_272,
}
STAGES = ("stem", *(f"stage{i}" for i in range(1, 8)), "top")


def net(variant: str = "b0", **options):
    return shared.network(efficientnet, variant, **options)


def test_every_stage_and_the_logits_are_torchs():
    found = shared.differences(efficientnet, net(), "efficientnet_b0", draw.INPUTS[1:])
    assert {stage for _, stage, *_ in found} == {*STAGES, "logits"}
    assert {key: value for key, value in found.items() if not value <= 1e-5} == {}


def test_names_and_shapes_are_the_published_ones():
    assert shared.published_shapes(efficientnet, net()) == shared.stored_shapes("efficientnet_b0")
    assert net().backbone.stages == STAGES


@pytest.mark.parametrize("variant", ["b0", "b1", "b5", "v2_s", "v2_m", "v2_l"])
def test_name_table_covers_every_variable_once(variant):
    """And there are as many parameters as published: the widest and deepest are in test_parity_mobile.py."""
    rows, tree = efficientnet.names(variant), shared.shapes(net(variant))
    variables = {(collection, path) for collection in tree for path in flatten(tree[collection])}
    assert {(row.collection, row.path) for row in rows} == variables
    assert len(rows) == len(variables) == len({row.published for row in rows})
    assert count(tree["params"]) == PARAMETERS[variant]


def test_place_and_publish_are_inverse():
    arrays = shared.drawn_arrays(efficientnet, net())
    back = placement.publish(shared.drawn(efficientnet, net()), efficientnet.names("b0"))
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype and back[name].flags.c_contiguous, name
        np.testing.assert_array_equal(back[name], array, err_msg=name)


def test_the_variant_shows_in_the_tensors():
    for variant, shape in efficientnet.VARIANTS.items():
        shown = variant.removesuffix("_tf")  # padding does not show in tensors
        assert efficientnet.infer(published(efficientnet, shape), None) is efficientnet.VARIANTS[shown]
    with pytest.raises(KeyError, match="a network other than b0, b1"):
        efficientnet.infer({"fc.weight": np.empty((10, 10))}, None)


def test_scaling_rounds_channels_to_8_and_blocks_up():
    # b1 of the paper's table 8 and b4's widths, as torchvision has them.
    assert [len(stage) for stage in efficientnet.VARIANTS["b1"].blocks] == [2, 3, 3, 4, 4, 5, 2]
    b4 = efficientnet.VARIANTS["b4"]
    assert (b4.stem, [stage[0].out for stage in b4.blocks], b4.top) == (48, [24, 32, 56, 112, 160, 272, 448], 1792)
    first, second = b4.blocks[1][:2]
    assert (first.inner, first.squeezed, second.inner, second.squeezed) == (144, 6, 192, 8)


def test_what_the_weights_were_trained_with():
    trained = {name: (v.epsilon, v.momentum, v.dropout) for name, v in efficientnet.VARIANTS.items()}
    assert trained == {
        **{name: (1e-5, 0.9, dropout) for name, dropout in zip(PARAMETERS, (0.2, 0.2, 0.3, 0.3, 0.4), strict=False)},
        **{name: (1e-3, 0.99, dropout) for name, dropout in (("b5", 0.4), ("b6", 0.5), ("b7", 0.5))},
        **{f"v2_{size}": (1e-3, 0.9, dropout) for size, dropout in (("s", 0.2), ("s_tf", 0.2), ("m", 0.3), ("l", 0.4))},
    }
    assert (efficientnet.build("b4").dropout, efficientnet.build("b4", dropout=0.0).dropout) == (0.4, 0.0)
    assert efficientnet.build("b0").drop_path == 0


def test_sizes_serve_as_a_variant_and_an_unknown_one_is_an_error():
    wide = dataclasses.replace(efficientnet.VARIANTS["b0"], top=64)
    assert efficientnet.build(wide).variant == wide
    with pytest.raises(ConfigError, match=r"'efficientnet' must be one of b0, b1, .*, b7, .*; got 'b8'"):
        efficientnet.build("b8")
