"""timm's names of architectures that tljax builds, for families whose tensors do not show everything about a network.

Strides and activations, for example, are in no tensor. In a config.json of timm, the key "architecture" holds the name.
"""

import re

from tljax.core.errors import WeightsError
from tljax.core.types import Json

# Kind of network -> the pattern of the architectures that tljax builds completely. Others have tensors of the same
# names and shapes, and other strides (resnetblur, resnetaa), activations (mnasnet, spnasnet, test_convnext) or epsilons
# (convnext_xxlarge).
BUILT = {
    "resnet": r"(\w+_)?resnex?t\d+\w*",
    "convnext": r"convnext(v2)?_(?!xxlarge)\w+",
    "mobilenet": r"mobilenetv2_\w+|(tf_)?mobilenetv3_(large|small)_\d+|(tf_)?efficientnet_lite\d",
    "efficientnet": r"(tf_)?efficientnet(_b\d\w*|v2_\w+)|tinynet_[a-e]",
}


def check(family: str, config: Json, where: str) -> None:
    """Raise WeightsError if the config.json beside `where` names an architecture that `family` does not build."""
    architecture = config.get("architecture")
    if isinstance(architecture, str) and family in BUILT and not re.fullmatch(BUILT[family], architecture):
        raise WeightsError(
            f"The config.json beside '{where}' says that its network is timm's '{architecture}', which tljax does not "
            f"build. Its tensors look like those of a {family} here, but it has other strides, activations, epsilons "
            f"or blocks, which tensors do not show. Choose other weights."
        )
