"""timm's own networks, live: their weights loaded here, and ours loaded there, give the same logits.

timm imports torchvision: `reference/torch_vision.py`.
"""

import json
from typing import Any

import jax
import numpy as np
import pytest
import safetensors.numpy
from reference import draw

from tests.test_parity_sources import logits, model_config
from tljax import placement, pretrained, saved_model
from tljax.errors import WeightsError
from tljax.network import Network
from tljax.plugins import find
from tljax.tasks import classification

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch", reason="torch is not installed; `make parity` installs it")
from reference import torch_vision  # noqa: E402

torch_vision.declare()
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


def theirs(module: Any, x: np.ndarray) -> np.ndarray:
    """In float64: in float32 torch's own rounding makes 9e-6 of a BiT."""
    with torch.inference_mode():
        return module.double()(torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2))).double()).numpy()


@pytest.mark.parametrize("architecture", NETWORKS)
def test_weights_of_timm_answer_the_same_here(architecture, tmp_path):
    family, side, _ = NETWORKS[architecture]
    module, x = made(architecture), draw.image((2, side, side, 3))
    arrays = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    safetensors.numpy.save_file(arrays, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"architecture": architecture}))
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
    plugin = find("models", family)
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
