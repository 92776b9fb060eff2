"""timm's architectures whose tensors look like those of another network."""

import pytest

from tljax.core.errors import WeightsError
from tljax.weights import architectures

OTHERS = {
    "resnet": ("resnetblur18", "resnetaa50", "seresnet50"),
    "convnext": ("test_convnext", "convnext_xxlarge"),
    "mobilenet": ("mnasnet_100", "spnasnet_100", "fbnetc_100", "mobilenetv1_100"),
    "efficientnet": ("efficientnet_es", "efficientnet_blur_b0", "mnasnet_a1", "semnasnet_075"),
}
BUILT = {
    "resnet": ("resnet18", "tv_resnet152", "wide_resnet50_2", "resnext101_32x8d", "ssl_resnext50_32x4d"),
    "convnext": ("convnext_tiny", "convnextv2_atto", "convnext_xlarge"),
    "mobilenet": ("mobilenetv2_110d", "tf_mobilenetv3_large_075", "efficientnet_lite0", "tf_efficientnet_lite4"),
    "efficientnet": ("efficientnet_b0", "tf_efficientnet_b7", "efficientnet_b1_pruned", "tf_efficientnetv2_s"),
    "vit": ("anything",),
}


@pytest.mark.parametrize(("family", "name"), [(family, name) for family, names in OTHERS.items() for name in names])
def test_one_that_computes_otherwise_is_refused(family, name):
    with pytest.raises(WeightsError, match=rf"timm's '{name}'.*look like those of a {family} here"):
        architectures.check(family, {"architecture": name}, "a file")


def test_those_that_are_built_and_files_of_no_architecture_pass():
    refused = []
    for family, names in BUILT.items():
        for told in (*({"architecture": name} for name in names), {}, {"architectures": ["ResNetModel"]}):
            try:
                architectures.check(family, told, "a file")
            except WeightsError as error:
                refused.append(str(error))
    assert refused == []
