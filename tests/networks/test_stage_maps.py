"""What the stages of every family give: their maps, strides and widths, without computing anything."""

import pytest

from tljax.core.errors import ConfigError
from tljax.networks import stage_maps
from tljax.networks.families import bert, lenet, mobilenet, resnet, vgg, vit
from tljax.networks.stage_maps import StageMap
from tljax.networks.vision_transformer import Variant

STRIDES = {
    "resnet 18": (resnet, "18", (4, 4, 8, 16, 32)),
    "vgg 11": (vgg, "11", (2, 4, 8, 16, 32)),  # its dense stages give no maps
    "mobilenet v2": (mobilenet, "v2", (2, 2, 4, 8, 16, 16, 32, 32)),
    "lenet small": (lenet, "small", (2, 4)),
}


@pytest.mark.parametrize("name", STRIDES)
def test_maps(name):
    family, variant, strides = STRIDES[name]
    found = stage_maps.of(family.build(variant))
    assert tuple(one.stride for one in found) == strides and all(one.tokens_before is None for one in found)
    assert name != "resnet 18" or found[-1] == StageMap("stage4", 32, 512)


@pytest.mark.parametrize(("changes", "before"), [({}, 1), ({"rotary": 100.0, "registers": 4}, 5)])
def test_tokens(changes, before):
    found = stage_maps.of(vit.build(Variant(16, 32, 2, 2, **changes)))
    assert found == tuple(StageMap(name, 16, 32, before) for name in ("embed", "block0", "block1", "norm"))


def test_a_backbone_of_texts_is_refused():
    with pytest.raises(ConfigError, match="pictures of any size"):
        stage_maps.of(bert.build(next(iter(bert.VARIANTS))))
