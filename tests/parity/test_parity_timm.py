"""timm's own networks, live: their weights loaded here, and ours loaded there, give the same logits.

timm imports torchvision: `reference/torch_vision.py`.
"""

import json
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import safetensors.numpy
from reference import draw

from tests.parity.test_parity_sources import logits, model_config
from tljax.core.errors import WeightsError
from tljax.core.plugins import find
from tljax.core.types import Card
from tljax.networks.network import Network
from tljax.serving import exports, published_model, saved_model
from tljax.tasks import classification
from tljax.weights import placement, pretrained

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch", reason="torch is not installed; `make parity` installs it")
from reference import torch_vision  # noqa: E402

torch_vision.declare()
torchvision = pytest.importorskip("torchvision", reason="torchvision is not installed; `make parity` installs it")
timm = pytest.importorskip("timm", reason="timm is not installed; `make parity` installs it")

CLASSES = 7
# Architecture -> (family, pixels, whether timm names tensors as the family is published).
NETWORKS = {
    "resnet18": ("resnet", 64, True),
    "vit_tiny_patch16_224": ("vit", 224, True),
    "convnext_tiny": ("convnext", 64, False),
    "vgg11_bn": ("vgg", 64, False),
    "resnetv2_50x1_bit": ("bit", 45, False),
    "mobilenetv2_100": ("mobilenet", 75, False),
    "mobilenetv2_110d": ("mobilenet", 64, False),
    "mobilenetv3_large_100": ("mobilenet", 75, False),
    "mobilenetv3_small_100": ("mobilenet", 75, False),
    "tf_mobilenetv3_large_075": ("mobilenet", 75, False),
    "efficientnet_b0": ("efficientnet", 75, False),
    "tf_efficientnet_b0": ("efficientnet", 75, False),
}
# ViTs with other tokens and pooling -> what timm is told besides.
KINDS: dict[str, dict[str, Any]] = {
    "vit_tiny_patch16_224": {"global_pool": "avg"},
    "deit_tiny_distilled_patch16_224": {},
    "vit_small_patch32_224": {"reg_tokens": 4, "no_embed_class": True, "class_token": False, "global_pool": "avg"},
}


def made(architecture: str, **options: Any) -> Any:
    """timm's network with drawn weights that keep a signal's size."""
    module = timm.create_model(architecture, num_classes=CLASSES, **options)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if name.endswith("running_var") or (tensor.ndim == 1 and name.endswith("weight")):
                tensor.uniform_(0.5, 1.5, generator=generator)
            elif name.endswith("gamma"):
                tensor.uniform_(0.5, 1.0, generator=generator)
            elif tensor.is_floating_point() and tensor.ndim in (1, 3):
                tensor.normal_(0.0, 0.2, generator=generator)
            elif tensor.ndim == 4:
                torch.nn.init.kaiming_normal_(tensor, nonlinearity="linear", generator=generator)
    return module.eval()


def save(module: Any, architecture: str, folder: Path) -> None:
    arrays = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    safetensors.numpy.save_file(arrays, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"architecture": architecture}))


def theirs(module: Any, x: np.ndarray) -> np.ndarray:
    """In float64: in float32 torch's own rounding makes 9e-6 of a BiT."""
    with torch.inference_mode():
        return module.double()(torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2))).double()).numpy()


@pytest.mark.parametrize("architecture", NETWORKS)
def test_weights_of_timm_answer_the_same_here(architecture, tmp_path):
    family, side, _ = NETWORKS[architecture]
    module, x = made(architecture), draw.image((2, side, side, 3))
    save(module, architecture, tmp_path)
    expected, found = theirs(module, x), logits(model_config(family, tmp_path), x)
    difference = np.abs(found - expected).max() / np.abs(expected).max()
    print(f"{architecture}: {difference:.1e}")
    assert difference <= 1e-5


@pytest.mark.parametrize("architecture", KINDS)
def test_tokens_and_pooling_of_timm(architecture, tmp_path):
    """On a grid that is not square, for which both resize the position embeddings of a square one."""
    module, x = made(architecture, **KINDS[architecture]), draw.image((2, 96, 160, 3))
    arrays = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    safetensors.numpy.save_file(arrays, tmp_path / "model.safetensors")
    module.set_input_size(img_size=(96, 160))
    expected, found = theirs(module, x), logits(model_config("vit", tmp_path), x)
    difference = np.abs(found - expected).max() / np.abs(expected).max()
    print(f"{architecture} {KINDS[architecture]}: {difference:.1e}")
    assert difference <= 1e-5


@pytest.mark.parametrize("architecture", [name for name, row in NETWORKS.items() if row[2]])
def test_what_is_exported_here_answers_the_same_there(architecture):
    family, side, _ = NETWORKS[architecture]
    module, x = timm.create_model(architecture, num_classes=CLASSES), draw.image((2, side, side, 3))
    plugin = find("families", family)
    variant = {"resnet18": "18", "vit_tiny_patch16_224": "tiny16"}[architecture]
    net = Network(plugin.build(variant), classification.head(CLASSES))
    variables = placement.init(net, x, seed=1)
    arrays = saved_model.published_arrays(variables, plugin.names(variant), family)
    missing, extra = module.load_state_dict({k: torch.from_numpy(v) for k, v in arrays.items()}, strict=False)
    assert all(name.endswith("num_batches_tracked") for name in missing) and extra == []
    expected, found = theirs(module.eval(), x), np.asarray(jax.jit(net.apply)(variables, x))
    assert np.abs(found - expected).max() / np.abs(expected).max() <= 1e-5


def test_without_a_config_nothing_says_how_a_mobile_network_pads(tmp_path):
    arrays = {name: tensor.numpy() for name, tensor in timm.create_model("mobilenetv2_100").state_dict().items()}
    safetensors.numpy.save_file(arrays, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match='put timm\'s config.json, which has "architecture", beside'):
        pretrained.fetch(model_config("mobilenet", tmp_path), wanted=True)


@pytest.mark.parametrize("architecture", ["mobilenetv3_small_100", "tf_mobilenetv3_small_100"])
def test_batch_norms_are_timms(architecture, tmp_path):
    module = made(architecture)
    save(module, architecture, tmp_path)
    found = pretrained.fetch(model_config("mobilenet", tmp_path), wanted=True).variant
    norms = {(one.eps, 1 - one.momentum) for one in module.modules() if isinstance(one, torch.nn.BatchNorm2d)}
    assert norms == {(found.epsilon, found.momentum)}


@pytest.mark.parametrize("architecture", ["mobilenetv3_rw", "mobilenetv3_large_150d", "fbnetv3_b", "lcnet_050"])
def test_relatives_of_mobilenet_v3_are_refused(architecture, tmp_path):
    save(timm.create_model(architecture), architecture, tmp_path)
    with pytest.raises(WeightsError, match=f"names of a MobileNetV3 must be .* says '{architecture}'"):
        pretrained.fetch(model_config("mobilenet", tmp_path), wanted=True)


def test_a_mobilenet_v3_of_timm_is_exported_as_torchvisions(tmp_path):
    """torchvision computes what timm does once it has timm's epsilon, which the file beside an export keeps."""
    module, x = made("mobilenetv3_small_100"), draw.image((2, 75, 75, 3))
    save(module, "mobilenetv3_small_100", tmp_path)
    card = Card(mean=(0.5,) * 3, std=(0.5,) * 3)
    model, _, first = published_model.load(str(tmp_path), card=card, lock=tmp_path / "lock.json")
    file = tmp_path / "exported.safetensors"
    exports.save(model, "safetensors-torch", file)
    norm = partial(torch.nn.BatchNorm2d, eps=1e-5)
    other = torchvision.models.mobilenet_v3_small(weights=None, num_classes=CLASSES, norm_layer=norm)
    arrays = {name: torch.from_numpy(array) for name, array in safetensors.numpy.load_file(file).items()}
    missing, extra = other.load_state_dict(arrays, strict=False)
    assert all(name.endswith("num_batches_tracked") for name in missing) and extra == []
    expected = theirs(module, x)
    assert np.abs(theirs(other.eval(), x) - expected).max() / np.abs(expected).max() <= 1e-12
    again, _, second = published_model.load(str(file), lock=tmp_path / "lock.json")
    assert again.network.backbone.variant == model.network.backbone.variant
    assert {name: second.arrays[name].tobytes() for name in arrays} == {
        name: first.arrays[name].tobytes() for name in arrays
    }
