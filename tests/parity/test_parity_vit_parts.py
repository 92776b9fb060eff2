"""What vision transformers have grown, against timm's and transformers' own networks: every block and the output.

timm's are made for a square grid of patches and asked on another, so that both resize the position embeddings.
"""

import dataclasses
import json
from types import SimpleNamespace
from typing import Any

import flax.linen as nn
import numpy as np
import pytest
from reference import draw, ours_vit

from tests.parity.test_parity_vit import above, nchw
from tljax.core.types import Card, Published
from tljax.networks.families import convnext, vit
from tljax.networks.network import Network
from tljax.weights import placement, pretrained

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch", reason="torch is not installed; `make parity` installs it")
from reference import torch_vision  # noqa: E402

torch_vision.declare()
timm = pytest.importorskip("timm", reason="timm is not installed; `make parity` installs it")
transformers = pytest.importorskip("transformers", reason="transformers is not installed; `make parity` installs it")

CARD = Card(mean=(0.5,) * 3, std=(0.5,) * 3)
CLASSES = 5
# timm's architecture -> (the variant whose sizes it has, blocks to make of it).
ARCHITECTURES = {
    "vit_small_patch14_dinov2": ("dinov2_small14", 2),
    "vit_small_patch14_reg4_dinov2": ("dinov2_small14_reg4", 2),
    "vit_giant_patch14_dinov2": ("dinov2_giant14", 1),
    "vit_giant_patch14_reg4_dinov2": ("dinov2_giant14_reg4", 1),
    "vit_base_patch14_reg1_tipsv2": ("tipsv2_base14", 1),
    "vit_so400m_patch14_reg1_tipsv2": ("tipsv2_so400m14", 1),
    "vit_giant_patch14_reg1_tipsv2": ("tipsv2_giant14", 1),
    "deit3_small_patch16_224": ("deit3_small16", 2),
    "vit_base_patch32_clip_224": ("clip_base32", 1),
    "vit_base_patch32_clip_quickgelu_224": ("clip_base32_quick", 1),
    "vit_large_patch14_clip_quickgelu_224": ("clip_large14_quick", 1),
    "vit_base_patch32_siglip_256": ("siglip_base32", 1),
    "vit_so400m_patch16_siglip_256": ("siglip_so400m16", 1),
    "vit_base_patch16_siglip_224": ("siglip_base16", 1),
    "vit_base_patch16_siglip_gap_224": ("siglip_base16", 1),
}
# The same of DINOv3: the backbone alone, for timm's head is given the patches' mean.
DINOV3 = {
    "vit_tiny_patch16_dinov3_qkvb": ("dinov3_tiny16", {}),  # EUPE's
    "vit_small_patch16_dinov3": ("dinov3_small16", {"qkv_bias": False}),
    "vit_small_patch16_dinov3_qkvb": ("dinov3_small16", {}),
    "vit_small_plus_patch16_dinov3": ("dinov3_small_plus16", {"qkv_bias": False}),
    "vit_small_plus_patch16_dinov3_qkvb": ("dinov3_small_plus16", {}),
}
EXACT = (
    "vit_base_patch16_siglip_224",
    "vit_base_patch16_siglip_gap_224",
)  # timm has the exact GELU there, where its authors have that by tanh


def drawn(module: Any) -> Any:
    """The module with weights that keep a signal's size, every part of it far from doing nothing."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if "position_ids" in name or tensor.ndim == 0:
                continue
            if tensor.ndim == 1 and name.endswith(("weight", "gamma", "lambda1")):
                tensor.uniform_(0.5, 1.5, generator=generator)
            elif tensor.ndim == 1 or "token" in name or "pos" in name or "probe" in name or "latent" in name:
                tensor.normal_(0.0, 0.5, generator=generator)
            else:
                tensor.normal_(0.0, tensor[0].numel() ** -0.5, generator=generator)
    return module.eval()


def arrays_of(module: Any) -> dict[str, np.ndarray]:
    return {name: tensor.numpy().copy() for name, tensor in module.state_dict().items()}


def ours(arrays: dict[str, np.ndarray], config: dict[str, Any], x: np.ndarray) -> tuple[Any, dict, dict]:
    """The variant that the weights are told to be, the output of every stage, and the weights as they are exported."""
    published = Published(arrays, CARD, "a file", config)
    asked = SimpleNamespace(family="vit", variant="auto", prefix="")
    variant, published, _ = pretrained.understood(vit, asked, published)
    rows = [row for row in vit.names(variant) if row.path.startswith("backbone") or row.published in published.arrays]
    fitting = dataclasses.replace(published, arrays=vit.adapt(published.arrays, x.shape))
    has_head = "head.weight" in published.arrays
    net = Network(vit.build(variant), nn.Dense(len(published.arrays["head.bias"]) if has_head else 1))
    empty = placement.shapes(net, x)
    variables, kept = placement.place(empty, fitting, rows, unused=vit.UNUSED, head=has_head)
    if kept:
        head = placement.init(net, x, seed=0, only=kept)["params"]["head"]
        variables = {"params": {**variables["params"], "head": head}}
    return variant, ours_vit.outputs(net, variables, x), placement.publish(variables, rows)


def named(variant: Any) -> vit.Variant:
    return vit.variant_of(variant)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_timms_stages_and_logits(architecture):
    name, depth = ARCHITECTURES[architecture]
    shape = dataclasses.replace(vit.VARIANTS[name], depth=depth)
    side = 4 * shape.patch
    module = drawn(timm.create_model(architecture, depth=depth, img_size=side, num_classes=CLASSES))
    arrays = arrays_of(module)
    grid = (2 * shape.patch, 5 * shape.patch)
    module.set_input_size(img_size=grid)
    x = draw.image((2, *grid, 3))
    variant, found, exported = ours(arrays, {"architecture": architecture}, x)
    changes = {"attention_pool": False, "average_after": True} if "gap" in architecture else {}
    shape = dataclasses.replace(shape, **changes)
    exact = dataclasses.replace(shape, activation="gelu") if architecture in EXACT else shape
    assert named(variant) == exact
    expected: dict[str, Any] = {}

    def keep(stage: str) -> Any:
        return lambda module, given, output: expected.update({stage: output.numpy()})

    module.blocks[0].register_forward_pre_hook(lambda _, given: expected.update(embed=given[0].numpy()))
    for i, block in enumerate(module.blocks):
        block.register_forward_hook(keep(f"block{i}"))
    module.norm.register_forward_hook(keep("norm"))
    if shape.attention_pool:
        module.attn_pool.register_forward_hook(keep("pool"))
    with torch.inference_mode():
        logits = module.double()(nchw(x.astype(np.float64))).numpy()
    assert above(1e-5, found, expected | {"logits": logits}, architecture) == {}
    missing, extra = module.load_state_dict({n: torch.from_numpy(a) for n, a in exported.items()}, strict=True)
    assert not missing and not extra


@pytest.mark.parametrize("architecture", DINOV3)
@pytest.mark.parametrize("grid", [(64, 64), (32, 80), (48, 112)])
def test_timms_dinov3_on_any_grid(architecture, grid):
    name, changes = DINOV3[architecture]
    module = drawn(timm.create_model(architecture, depth=2, img_size=64, num_classes=0, dynamic_img_size=True))
    x, expected = draw.image((2, *grid, 3)), {}
    variant, found, _ = ours(arrays_of(module), {"architecture": architecture}, x)
    assert named(variant) == dataclasses.replace(vit.VARIANTS[name], depth=2, **changes)
    module.blocks[0].register_forward_pre_hook(lambda _, given: expected.update(embed=given[0].numpy()))
    module.blocks[0].register_forward_hook(lambda _, given, output: expected.update(block0=output.numpy()))
    module.norm.register_forward_hook(lambda _, given, output: expected.update(norm=output.numpy()))
    with torch.inference_mode():
        module(nchw(x))
    assert above(1e-5, {stage: found[stage] for stage in expected}, expected, f"{architecture} {grid}") == {}


@pytest.mark.parametrize("architecture", ["vit_small_patch14_reg4_dinov2", "deit3_small_patch16_224"])
def test_what_is_published_again_is_what_was_read(architecture):
    name, depth = ARCHITECTURES[architecture]
    side = 4 * vit.VARIANTS[name].patch
    arrays = arrays_of(drawn(timm.create_model(architecture, depth=depth, img_size=side, num_classes=CLASSES)))
    _, _, exported = ours(arrays, {}, draw.image((1, side, side, 3)))
    assert {n: a.tobytes() for n, a in exported.items()} == {n: a.tobytes() for n, a in arrays.items()}


def test_transformers_convnext_of_dinov3():
    """DINOv3's ConvNeXt is one of other names; what it is pooled to is the normalised mean."""
    config = transformers.DINOv3ConvNextConfig(hidden_sizes=[8, 16, 24, 32], depths=[1, 2, 1, 1])
    module = drawn(transformers.DINOv3ConvNextModel(config))
    x = draw.image((2, 64, 96, 3))
    published = Published(arrays_of(module), CARD, "a file", json.loads(module.config.to_json_string()))
    asked = SimpleNamespace(family="convnext", variant="auto", prefix="")
    variant, published, _ = pretrained.understood(convnext, asked, published)
    assert variant == convnext.Variant((1, 2, 1, 1), (8, 16, 24, 32))
    net = Network(convnext.build(variant), nn.Dense(1))
    variables, _ = placement.place(placement.shapes(net, x), published, convnext.names(variant))
    head = placement.init(net, x, seed=0, only=["head/kernel", "head/bias"])["params"]["head"]
    found = ours_vit.outputs(net, {"params": {**variables["params"], "head": head}}, x)
    with torch.inference_mode():
        output = module(pixel_values=nchw(x), output_hidden_states=True)
    expected = {f"stage{i}": hidden.permute(0, 2, 3, 1).numpy() for i, hidden in enumerate(output.hidden_states) if i}
    expected["norm"] = output.pooler_output.numpy()
    assert above(1e-5, {stage: found[stage] for stage in expected}, expected, "DINOv3ConvNextModel") == {}


# transformers

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
MLP = {"intermediate_size": 48}


def dino(registers: int = 0, **options: Any) -> Any:
    kind = "Dinov2WithRegisters" if registers else "Dinov2"
    options |= {"num_register_tokens": registers} if registers else {}
    config = getattr(transformers, f"{kind}Config")(**SMALL, image_size=56, patch_size=14, **options)
    return getattr(transformers, f"{kind}Model")(config)


def clip(**options: Any) -> Any:
    config = transformers.CLIPVisionConfig(**SMALL, **MLP, image_size=48, patch_size=16, projection_dim=6, **options)
    return transformers.CLIPVisionModelWithProjection(config)


def siglip(**options: Any) -> Any:
    config = transformers.SiglipVisionConfig(**SMALL, **MLP, image_size=45, patch_size=15, **options)
    return transformers.SiglipVisionModel(config)


def whole_clip() -> Any:
    vision = {**SMALL, **MLP, "image_size": 48, "patch_size": 16, "hidden_act": "gelu"}
    text = {**SMALL, **MLP, "vocab_size": 20, "max_position_embeddings": 8}
    return transformers.CLIPModel(transformers.CLIPConfig(vision_config=vision, text_config=text, projection_dim=6))


def dinov3(**options: Any) -> Any:
    config = transformers.DINOv3ViTConfig(**SMALL, **MLP, image_size=64, patch_size=16, **options)
    return transformers.DINOv3ViTModel(config)


def tips(**options: Any) -> Any:
    vision = {**SMALL, "image_size": 56, "patch_size": 14, "num_register_tokens": 1, **options}
    text = {**SMALL, **MLP, "vocab_size": 20, "max_position_embeddings": 8}
    return transformers.Tipsv2Model(transformers.Tipsv2Config(vision_config=vision, text_config=text))


NETWORKS = {
    "Tipsv2Model": tips,
    "Tipsv2Model gated": lambda: tips(use_swiglu_ffn=True),
    "DINOv3ViTModel": lambda: dinov3(num_register_tokens=2),
    "DINOv3ViTModel gated, theta 30": lambda: dinov3(
        num_register_tokens=4, use_gated_mlp=True, hidden_act="silu", rope_theta=30.0
    ),
    "Dinov2Model": dino,
    "Dinov2Model gated": lambda: dino(use_swiglu_ffn=True),
    "Dinov2WithRegistersModel": lambda: dino(registers=3),
    "Dinov2WithRegistersModel gated": lambda: dino(registers=1, use_swiglu_ffn=True),
    "CLIPVisionModelWithProjection": clip,
    "CLIPVisionModelWithProjection, exact GELU": lambda: clip(hidden_act="gelu"),
    "SiglipVisionModel": siglip,
    "CLIPModel": whole_clip,
}


def theirs(module: Any, x: np.ndarray) -> dict[str, np.ndarray]:
    """Every stage that transformers shows, and what it makes of them in the end."""
    with torch.inference_mode():
        pixels = nchw(x)
        whole = hasattr(module, "text_model")
        output = (module.vision_model if whole else module)(pixel_values=pixels, output_hidden_states=True)
        found = {f"block{i}": hidden for i, hidden in enumerate(output.hidden_states[1:])}
        found["embed"] = output.hidden_states[0]
        if whole and hasattr(module, "visual_projection"):
            found["logits"] = module.visual_projection(output.pooler_output)
        elif hasattr(module, "visual_projection"):
            found["logits"] = output.image_embeds
        else:
            found["norm"] = output.last_hidden_state
        if hasattr(module, "head") and hasattr(module.head, "probe"):
            found["pool"] = output.pooler_output
    return {name: tensor.numpy() for name, tensor in found.items()}


@pytest.mark.parametrize("name", NETWORKS)
def test_transformers_stages_and_output(name):
    module = drawn(NETWORKS[name]())
    vision = getattr(module.config, "vision_config", module.config)
    x = draw.image((2, vision.image_size, vision.image_size, 3))
    _, found, _ = ours(arrays_of(module), json.loads(module.config.to_json_string()), x)
    expected = theirs(module, x)
    assert {"embed", "block0", "block1"} < set(expected)
    assert above(1e-5, {stage: found[stage] for stage in expected}, expected, name) == {}
