"""`tljax zoo check` of forty of timm's architectures: the logits are timm's, or the error names what is missing here.

Other parts of a network than its tensors show (blurred strides, activations) are known by the architecture's name.
"""

from typing import Any

import jax
import numpy as np
import pytest
from reference import draw

from tests.parity.test_parity_timm import CLASSES, made, theirs
from tljax.core.errors import TljaxError
from tljax.core.types import Card, Published
from tljax.serving import published_model
from tljax.weights import pretrained

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch", reason="torch is not installed; `make parity` installs it")
from reference import torch_vision  # noqa: E402

torch_vision.declare()
timm = pytest.importorskip("timm", reason="timm is not installed; `make parity` installs it")

# Architecture -> (family, pixels; odd ones show on which side padding lies).
RIGHT = {
    "resnet18": ("resnet", 45),
    "vgg11_bn": ("vgg", 64),
    "resnetv2_50x1_bit": ("bit", 45),
    "densenet121": ("densenet", 45),
    "convnext_atto": ("convnext", 64),
    "convnextv2_atto": ("convnext", 64),
    "vit_tiny_patch16_224": ("vit", 224),
    "deit3_small_patch16_224": ("vit", 224),
    "flexivit_small": ("vit", 240),
    "swin_tiny_patch4_window7_224": ("swin", 224),
    "regnety_002": ("regnet", 75),
    "regnetx_002": ("regnet", 75),
    "mobilenetv2_050": ("mobilenet", 75),
    "mobilenetv3_small_050": ("mobilenet", 75),
    "mobilenetv4_conv_small": ("mobilenet_v4", 75),
    "efficientnet_lite0": ("mobilenet", 75),
    "tf_efficientnet_lite0": ("mobilenet", 75),
    "tf_efficientnet_b0": ("efficientnet", 75),
    "efficientnet_b1_pruned": ("efficientnet", 75),
    "tinynet_e": ("efficientnet", 75),
    "efficientnetv2_rw_t": ("efficientnet", 75),
    "tf_efficientnetv2_b0": ("efficientnet", 75),
}
# Architecture -> what the error says.
REFUSED = {
    "resnet10t": "conv1.weight",  # three convolutions stand for it
    "seresnet18": "timm's 'seresnet18'",
    "resnetblur18": "timm's 'resnetblur18'",
    "resnetaa50": "timm's 'resnetaa50'",
    "resnet50_gn": r"missing: bn1\.running_mean",
    "res2net50_14w_8s": r"layer1\.0\.bns\.0",
    "densenetblur121d": r"extra: .*features\.conv1",
    "convnext_tiny_hnf": r"extra: .*norm_pre",
    "convnext_atto_rms": r"missing: .*features\.0\.1\.bias",
    "test_convnext": "timm's 'test_convnext'",
    "edgenext_xx_small": "timm's 'edgenext_xx_small'",
    "vit_tiny_r_s16_p8_224": "a hybrid of convolutions and a ViT",
    "vit_relpos_small_patch16_224": "pos_embed",
    "vit_little_patch16_reg4_gap_256": "number of heads of a ViT of width 320",
    "eva02_tiny_patch14_224": "EVA or EVA-02",
    "beit_base_patch16_224": "BEiT",
    "cait_xxs24_224": "CaiT",
    "vit_small_patch16_rope_224": "rotary positions other than DINOv3's",
    "swinv2_tiny_window8_256": r"relative_position_bias_table",
    "mobilenetv1_100": "timm's 'mobilenetv1_100'|blocks.0.0",
    "mobilenetv4_conv_medium": r"blocks\.0\.0",
    "mnasnet_050": "timm's 'mnasnet_050'",
    "spnasnet_100": "timm's 'spnasnet_100'",
    "fbnetc_100": "timm's 'fbnetc_100'",
    "mixnet_s": "timm's 'mixnet_s'",
    "efficientnet_es": "timm's 'efficientnet_es'",
    "lcnet_035": "says 'lcnet_035'",
    "hardcorenas_a": "says 'hardcorenas_a'",
}


def published(module: Any, architecture: str, size: int) -> Published:
    """As of a folder with timm's config.json; of a module on torch's meta device the tensors are zeros."""
    state = module.state_dict()
    arrays = {
        name: np.broadcast_to(np.float32(0), tuple(tensor.shape)) if tensor.is_meta else tensor.numpy()
        for name, tensor in state.items()
    }
    card = Card(mean=(0.5,) * 3, std=(0.5,) * 3, size=size, crop=1.0)
    return Published(arrays, card, "a file", {"architecture": architecture})


def loaded(monkeypatch: Any, tmp_path: Any, found: Published) -> Any:
    monkeypatch.setattr(pretrained, "read", lambda *_, **__: found)
    return published_model.load("a file", lock=tmp_path / "lock.json")[0]


def test_there_are_forty_or_more():
    assert len(RIGHT) + len(REFUSED) >= 40


@pytest.mark.parametrize("architecture", RIGHT)
def test_the_logits_are_timms(architecture, monkeypatch, tmp_path):
    family, size = RIGHT[architecture]
    module, x = made(architecture), draw.image((2, size, size, 3))
    model = loaded(monkeypatch, tmp_path, published(module, architecture, size))
    assert model.family == family
    found, expected = np.asarray(jax.jit(model.network.apply)(model.variables, x)), theirs(module, x)
    assert found.shape == (2, CLASSES)
    difference = np.abs(found - expected).max() / np.abs(expected).max()
    print(f"{architecture}: {difference:.1e}")
    assert difference <= 1e-5


@pytest.mark.parametrize("architecture", REFUSED)
def test_another_network_is_refused_and_what_is_missing_named(architecture, monkeypatch, tmp_path):
    with torch.device("meta"):
        module = timm.create_model(architecture)
    size = module.pretrained_cfg["input_size"][-1]
    with pytest.raises(TljaxError, match=REFUSED[architecture]):
        loaded(monkeypatch, tmp_path, published(module, architecture, size))
