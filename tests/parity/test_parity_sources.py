"""What `save_pretrained` of transformers writes, loaded through `config.model.weights`: the same logits."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from reference import draw

from tests import small
from tljax.core.errors import WeightsError
from tljax.core.plugins import find
from tljax.networks.families import efficientnet, mobilenet
from tljax.networks.network import Network
from tljax.tasks import classification
from tljax.weights import placement, pretrained

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch", reason="torch is not installed; `make parity` installs it")
transformers = pytest.importorskip("transformers", reason="transformers is not installed; `make parity` installs it")

CLASSES = 7
# Kind of network -> pixels; odd maps tell TensorFlow's padding from what else pads right and below.
ODD_SIDES = {"Bit": 45, "MobileNetV2": 75, "EfficientNet": 75}
VIT = {"hidden_size": 192, "num_hidden_layers": 12, "num_attention_heads": 3, "intermediate_size": 768}
ODD_VIT = {
    "hidden_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 5,
    "intermediate_size": 72,
    "patch_size": 8,
}
NEXT = {"depths": [3, 3, 9, 3], "hidden_sizes": [96, 192, 384, 768]}
# Name -> (family, what `auto` must find, kind of network, its config).
NETWORKS: dict[str, tuple[str, Any, str, dict[str, Any]]] = {
    "resnet 18": (
        "resnet",
        "18",
        "ResNet",
        {"depths": [2, 2, 2, 2], "hidden_sizes": [64, 128, 256, 512], "layer_type": "basic"},
    ),
    "resnet 50": ("resnet", "50", "ResNet", {}),
    "resnet, basic, three stages": (
        "resnet",
        {"blocks": (1, 3, 2), "bottleneck": False, "width": 16, "widths": (24, 24, 56)},
        "ResNet",
        {"embedding_size": 16, "depths": [1, 3, 2], "hidden_sizes": [24, 24, 56], "layer_type": "basic"},
    ),
    "resnet, bottleneck, no first shortcut": (
        "resnet",
        {"blocks": (2, 1), "bottleneck": True, "width": 32, "widths": (8, 12)},
        "ResNet",
        {"embedding_size": 32, "depths": [2, 1], "hidden_sizes": [32, 48], "layer_type": "bottleneck"},
    ),
    "vit tiny16": ("vit", "tiny16", "ViT", VIT | {"layer_norm_eps": 1e-6}),
    "vit, its own sizes": (
        "vit",
        {"patch": 8, "width": 40, "heads": 5, "depth": 3, "hidden": 72, "qkv_bias": False, "eps": 1e-12},
        "ViT",
        ODD_VIT | {"qkv_bias": False},
    ),
    "deit, class token's answer": (
        "vit",
        {"patch": 8, "width": 40, "heads": 5, "depth": 3, "hidden": 72, "distilled": True, "eps": 1e-12},
        "DeiT",
        ODD_VIT,
    ),
    "deit tiny, both answers": ("vit", "deit_tiny16_distilled", "DeiT with teacher", VIT | {"layer_norm_eps": 1e-6}),
    "bit, two stages": (
        "bit",
        {"units": (2, 1), "width": 32, "eps": 1e-8},
        "Bit",
        {"embedding_size": 32, "hidden_sizes": [128, 256], "depths": [2, 1]},
    ),
    "mobilenet v2, as published": (
        "mobilenet",
        dataclasses.replace(mobilenet.VARIANTS["v2"], epsilon=1e-3, padding="same"),
        "MobileNetV2",
        {},
    ),
    "mobilenet v2, as torch pads": (
        "mobilenet",
        "v2",
        "MobileNetV2",
        {"tf_padding": False, "layer_norm_eps": 1e-5},
    ),
    "mobilenet v2, narrow": ("mobilenet", None, "MobileNetV2", {"depth_multiplier": 0.35}),
    "efficientnet, its own sizes": (
        "efficientnet",
        dataclasses.replace(
            efficientnet.scaled(0.5, 0.5, 0.2, epsilon=1e-3, momentum=0.99), padding="after", halves=(1, 3)
        ),
        "EfficientNet",
        {"width_coefficient": 0.5, "depth_coefficient": 0.5, "hidden_dim": 640, "depthwise_padding": [1, 3]},
    ),
    "convnext tiny": ("convnext", "tiny", "ConvNext", NEXT | {"layer_norm_eps": 1e-6}),
    "convnext, three stages": (
        "convnext",
        {"blocks": (1, 2, 1), "widths": (8, 24, 40), "eps": 1e-12},
        "ConvNext",
        {"depths": [1, 2, 1], "hidden_sizes": [8, 24, 40], "num_stages": 3},
    ),
    "convnext, without layer scale": (
        "convnext",
        {"blocks": (1, 2), "widths": (8, 24), "eps": 1e-12, "layer_scale": False},
        "ConvNext",
        {"depths": [1, 2], "hidden_sizes": [8, 24], "num_stages": 2, "layer_scale_init_value": 0.0},
    ),
}


def made(kind: str, **config: Any) -> Any:
    """A network of transformers with random weights, and BatchNorm statistics that are not those of the start."""
    kind, _, teacher = kind.partition(" with ")
    settings = getattr(transformers, f"{kind}Config")(**config, num_labels=CLASSES)
    name = f"{kind}ForImageClassification" + "WithTeacher" * bool(teacher)
    module = getattr(transformers, name)(settings)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if name.endswith("running_var") or (tensor.ndim == 1 and name.endswith("weight")):
                tensor.uniform_(0.5, 1.5, generator=generator)
            elif tensor.is_floating_point() and tensor.ndim in (1, 3):
                tensor.normal_(0.0, 0.2, generator=generator)
            elif "layer_scale" in name:
                tensor.uniform_(0.5, 1.0, generator=generator)
            elif tensor.ndim == 4 and kind in ODD_SIDES:  # larger than theirs, or padding would not show
                torch.nn.init.kaiming_normal_(tensor, nonlinearity="linear", generator=generator)
    return module.eval()


def model_config(family: str, folder: Path, variant: str = "auto") -> Any:
    config = small.config(model__family=family, model__variant=variant, model__weights=str(folder)).model
    config.card.mean, config.card.std = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    return config


def logits(config: Any, x: np.ndarray) -> np.ndarray:
    """The answer of the network that `config` names, its classifier taken from the weights."""
    family, known = find("families", config.family), pretrained.fetch(config, wanted=True)
    network = Network(family.build(known.variant), classification.head(CLASSES))
    published = known.published
    assert published is not None
    variables, kept = placement.start(
        network,
        x,
        seed=0,
        published=published,
        names=family.names(known.variant),
        unused=family.UNUSED,
        adapt=getattr(family, "adapt", None),
        head=True,
    )
    assert kept == ()
    return np.asarray(jax.jit(network.apply)(variables, x))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_saved_network_answers_the_same(name, tmp_path):
    family, variant, kind, settings = NETWORKS[name]
    side = ODD_SIDES.get(kind, 64 if family in ("convnext", "resnet") else 32)
    if family == "vit":
        settings = settings | {"image_size": side}
    module = made(kind, **settings)
    module.save_pretrained(tmp_path)
    config = model_config(family, tmp_path)
    known = pretrained.fetch(config, wanted=True)
    expected = find("families", family).Variant(**variant) if isinstance(variant, dict) else variant
    assert expected in (None, known.variant)
    x = draw.image((2, side, side, 3))
    with torch.inference_mode():
        theirs = module(torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))).logits.numpy()
    ours = logits(config, x)
    difference = np.abs(ours - theirs).max() / np.abs(theirs).max()
    print(f"{name}: {difference:.1e}")
    assert difference <= 1e-5


@pytest.mark.parametrize(
    ("kind", "family", "settings", "said"),
    [
        ("Bit", "bit", {"global_padding": "SAME"}, "global_padding 'SAME'"),
        ("MobileNetV2", "mobilenet", {"output_stride": 16}, "output_stride 16"),
        ("MobileNetV2", "mobilenet", {"depth_multiplier": 0.25}, "as many channels as its stem, 8"),
        ("EfficientNet", "efficientnet", {"pooling_type": "max"}, "pooling_type 'max'"),
    ],
)
def test_what_is_computed_otherwise_is_refused(kind, family, settings, said, tmp_path):
    sizes = {"Bit": {"depths": [1], "hidden_sizes": [256]}, "EfficientNet": {"width_coefficient": 0.5}}
    settings = sizes.get(kind, {}) | settings | ({"hidden_dim": 640} if kind == "EfficientNet" else {})
    made(kind, **settings).save_pretrained(tmp_path)
    with pytest.raises(WeightsError, match=said):
        pretrained.fetch(model_config(family, tmp_path), wanted=True)
