"""torchvision's own networks, live: their weights loaded here from a file, and ours exported and loaded there."""

import itertools
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from reference import draw
from reference import vgg_convnext as shared

from tljax.core.types import Card
from tljax.networks.families import efficientnet, mobilenet
from tljax.serving import exports, published_model
from tljax.tasks.classification import outputs as softmax

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch", reason="torch is not installed; `make parity` installs it")
import safetensors.torch  # noqa: E402
from reference import torch_vgg_convnext, torch_vision  # noqa: E402

torch_vision.declare()
torchvision = pytest.importorskip("torchvision", reason="torchvision is not installed; `make parity` installs it")

CLASSES = 7
SIDE = 75  # pixels: odd maps show on which side padding lies
CARD = Card(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), size=SIDE, crop=1.0)
# torchvision's name -> (family, variant).
NETWORKS = {
    **{f"resnet{depth}": ("resnet", f"{depth}") for depth in (18, 34, 50, 101, 152)},
    "wide_resnet50_2": ("resnet", "wide50_2"),
    "resnext50_32x4d": ("resnet", "resnext50_32x4d"),
    **{f"vgg{depth}{norm}": ("vgg", f"{depth}{norm}") for depth in (11, 13, 16, 19) for norm in ("", "_bn")},
    **{f"convnext_{size}": ("convnext", size) for size in ("tiny", "small", "base", "large")},
    "mobilenet_v2": ("mobilenet", "v2"),
    "mobilenet_v3_small": ("mobilenet", "v3_small"),
    "mobilenet_v3_large": ("mobilenet", "v3_large"),
    "efficientnet_b0": ("efficientnet", "b0"),
    "efficientnet_v2_s": ("efficientnet", "v2_s"),
    "regnet_y_400mf": ("regnet", "y_400mf"),
    "regnet_x_400mf": ("regnet", "x_400mf"),
    "swin_t": ("swin", "tiny"),
    **{f"densenet{depth}": ("densenet", f"{depth}") for depth in (121, 161, 169, 201)},
}
# With the drawn scales of BatchNorm the signal grows to 5e5, and torch's float32 differs from its float64 by 0.6.
DAMPED = ("efficientnet_v2_s",)


def made(name: str) -> Any:
    """torchvision's network; its weights, from files, are never asked for."""
    return torchvision.models.get_model(name, weights=None, num_classes=CLASSES).eval()


def followers(family: str, variant: str, module: Any) -> Sequence[Any]:
    """The modules of torchvision that are given what our stages put out, in the same order."""
    if family == "resnet":
        return module.layer1, module.layer2, module.layer3, module.layer4, module.avgpool
    if family == "regnet":
        return *module.trunk_output, module.avgpool
    if family == "swin":
        return *(module.features[i] for i in (1, 2, 4, 6)), module.norm, module.permute
    classifier = module.classifier
    if family == "densenet":
        after = [f"transition{i}" for i in (1, 2, 3)]
        return *(getattr(module.features, name) for name in ("denseblock1", *after, "norm5")), classifier
    if family == "vgg":
        pairs = itertools.pairwise((*module.features, module.avgpool))
        blocks = (after for layer, after in pairs if isinstance(layer, torch.nn.MaxPool2d))
        return *blocks, classifier[3], classifier[6]
    if family == "convnext":
        return *(module.features[i] for i in (1, 2, 4, 6)), module.avgpool, classifier[2]
    blocks = (mobilenet if family == "mobilenet" else efficientnet).variant_of(variant).blocks
    counts = [len(stage) for stage in blocks] if family == "mobilenet" else [1] * len(blocks)
    stages = [module.features[i] for i in itertools.accumulate([1, *counts])]
    return *stages, classifier, *([classifier[3]] if variant.startswith("v3") else [])


def theirs(module: Any, watched: Sequence[Any], x: np.ndarray) -> list[np.ndarray]:
    """What each of `watched` is given, and the logits."""
    found: list[np.ndarray] = []

    def keep(_: Any, given: tuple[Any, ...]) -> None:
        found.append(torch_vgg_convnext.nhwc(given[0]).copy())  # what follows may work in place

    hooks = [layer.register_forward_pre_hook(keep) for layer in watched]
    with torch.inference_mode():
        logits = module(torch_vgg_convnext.nchw(x)).numpy()
    for hook in hooks:
        hook.remove()
    return [*found, logits]


@pytest.mark.parametrize("name", NETWORKS)
def test_both_load_the_others_file_and_say_the_same(name, tmp_path):
    family, variant = NETWORKS[name]
    module, first, second = made(name), tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    shapes = {
        key: tensor.shape for key, tensor in module.state_dict().items() if tensor.ndim and tensor.is_floating_point()
    }
    arrays = draw.weights(shapes)
    if name in DAMPED:
        arrays = {key: 0.3 * x if x.ndim == 1 and key.endswith("weight") else x for key, x in arrays.items()}
    torch_vgg_convnext.load(module, arrays)
    safetensors.torch.save_file(module.state_dict(), first)
    first.with_suffix(".card.json").write_text(json.dumps(CARD.as_dict()))

    model, _, _ = published_model.load(str(first), lock=tmp_path / "lock.json")
    assert (model.family, model.variant) == (family, variant)
    x = draw.image((2, SIDE, SIDE, 3))
    found, stages = shared.outputs(model.network, model.variables, x), model.network.backbone.stages
    if family == "densenet":  # torchvision has the last ReLU, and the mean, between its modules
        found["norm"] = found["norm"].mean((1, 2))
    expected = dict(zip((*stages, "logits"), theirs(module, followers(family, variant, module), x), strict=True))
    if family == "swin":  # whose maps are (B, H, W, C) there too
        expected = {stage: x.transpose(0, 3, 1, 2) if x.ndim == 4 else x for stage, x in expected.items()}
    assert shared.above(1e-5, found, expected, name) == {}

    exports.save(model, "safetensors-torch", second)
    other = made(name)
    other.load_state_dict(safetensors.torch.load_file(second), strict=True)
    (answer,) = theirs(other, (), x)
    assert softmax(answer).std() > 0.01
    np.testing.assert_allclose(softmax(found["logits"]), softmax(answer), rtol=0, atol=1e-5)
    first.unlink()  # pytest keeps the folders of three runs, and a VGG is half a gigabyte
    second.unlink()
