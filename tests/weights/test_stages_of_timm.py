"""timm's names of RegNets, Swin Transformers and EfficientNetV2, by their tensors; live: test_parity_layouts.py."""

import re

import numpy as np
import pytest
from reference import draw
from reference import vgg_convnext as shared

from tljax.core.errors import WeightsError
from tljax.networks.families import efficientnet, regnet, swin
from tljax.networks.inverted_residual import Sizes, Variant
from tljax.weights import translation

V2 = Variant(
    8,
    (
        (Sizes(8, 8, 3, 1, 0, "silu", True),) * 2,
        (Sizes(32, 12, 3, 2, 0, "silu", True), Sizes(48, 12, 3, 1, 0, "silu", True)),
        (Sizes(48, 16, 3, 2, 0, "silu", True),),
        (Sizes(64, 24, 3, 2, 4, "silu"),),
    ),
    top=32,
    activation="silu",
    squeeze_activation="silu",
    epsilon=1e-3,
)
SMALL = {
    "regnet": (regnet, regnet.Variant((1, 2), (16, 24), (8, 8), stem=8)),
    "swin": (swin, swin.Variant(8, (2, 1), (1, 2), window=3)),
    "efficientnet": (efficientnet, V2),
}
# Pattern of ours -> timm's, applied in order to the whole name.
SPELT = {
    "regnet": (
        (r"stem\.0\.", "stem.conv."),
        (r"stem\.1\.", "stem.bn."),
        (r"trunk_output\.block(\d)\.block\d-0\.", r"s\1.b1."),
        (r"trunk_output\.block(\d)\.block\d-1\.", r"s\1.b2."),
        (r"proj\.0", "downsample.conv"),
        (r"proj\.1", "downsample.bn"),
        (r"f\.a\.0", "conv1.conv"), (r"f\.a\.1", "conv1.bn"), (r"f\.b\.0", "conv2.conv"), (r"f\.b\.1", "conv2.bn"),
        (r"f\.c\.0", "conv3.conv"), (r"f\.c\.1", "conv3.bn"), (r"f\.se", "se"), (r"^fc\.", "head.fc."),
    ),
    "swin": (
        (r"features\.0\.0", "patch_embed.proj"), (r"features\.0\.2", "patch_embed.norm"),
        (r"features\.1\.", "layers.0.blocks."), (r"features\.2\.", "layers.1.downsample."),
        (r"features\.3\.", "layers.1.blocks."), (r"mlp\.0", "mlp.fc1"), (r"mlp\.3", "mlp.fc2"), (r"^head", "head.fc"),
    ),
    "efficientnet": (
        (r"features\.0\.0", "conv_stem"), (r"features\.0\.1", "bn1"), (r"features\.5\.0", "conv_head"),
        (r"features\.5\.1", "bn2"), (r"classifier\.1", "classifier"),
        (r"features\.1\.(\d)\.block\.0\.0", r"blocks.0.\1.conv"),
        (r"features\.1\.(\d)\.block\.0\.1", r"blocks.0.\1.bn1"),
        (r"features\.2\.(\d)", r"blocks.1.\1"), (r"features\.3\.(\d)", r"blocks.2.\1"),
        (r"(blocks\.[12]\.\d)\.block\.0\.0", r"\1.conv_exp"), (r"(blocks\.[12]\.\d)\.block\.0\.1", r"\1.bn1"),
        (r"(blocks\.[12]\.\d)\.block\.1\.0", r"\1.conv_pwl"), (r"(blocks\.[12]\.\d)\.block\.1\.1", r"\1.bn2"),
        (r"features\.4\.0\.block\.0\.0", "blocks.3.0.conv_pw"), (r"features\.4\.0\.block\.0\.1", "blocks.3.0.bn1"),
        (r"features\.4\.0\.block\.1\.0", "blocks.3.0.conv_dw"), (r"features\.4\.0\.block\.1\.1", "blocks.3.0.bn2"),
        (r"features\.4\.0\.block\.2\.fc1", "blocks.3.0.se.conv_reduce"),
        (r"features\.4\.0\.block\.2\.fc2", "blocks.3.0.se.conv_expand"),
        (r"features\.4\.0\.block\.3\.0", "blocks.3.0.conv_pwl"), (r"features\.4\.0\.block\.3\.1", "blocks.3.0.bn3"),
    ),
}  # fmt: skip


def of_timm(family):
    """Our arrays, and the same under timm's names."""
    module, shape = SMALL[family]
    ours, theirs = draw.weights(shared.published_shapes(module, shared.network(module, shape))), {}
    for name, array in ours.items():
        for old, new in SPELT[family]:
            name = re.sub(old, new, name)
        theirs[name] = array
    assert len(theirs) == len(ours)
    return ours, theirs


@pytest.mark.parametrize("family", SMALL)
def test_timms_names_are_translated(family):
    ours, theirs = of_timm(family)
    spelling = translation.recognise(theirs, family, "a file")
    assert spelling is not None and spelling.family == family
    for name in theirs:
        assert sum(re.fullmatch(rule.pattern, name) is not None for rule in spelling.rules) <= 1, name
    found = translation.translate(theirs, spelling, "a file")
    assert {name: x.tobytes() for name, x in found.items()} == {name: x.tobytes() for name, x in ours.items()}
    assert translation.recognise(ours, family, "a file") is None


def test_another_family_is_named():
    with pytest.raises(WeightsError, match=r"holds a swin as .* and config.model.family is 'regnet'"):
        translation.recognise(of_timm("swin")[1], "regnet", "a file")


def test_a_swin_of_its_authors_has_its_merging_elsewhere():
    """timm counts it to the stage after it; its authors to the one before, so that a tensor is left over."""
    theirs = {name.replace("layers.1.downsample", "layers.0.downsample"): x for name, x in of_timm("swin")[1].items()}
    spelling = translation.recognise(theirs, "swin", "a file")
    assert spelling is not None
    found = translation.translate(theirs, spelling, "a file")
    assert {name for name in found if name.startswith("features.0.") and "norm.w" in name} == {"features.0.norm.weight"}
    np.testing.assert_array_equal(found["features.0.norm.weight"], theirs["layers.0.downsample.norm.weight"])
