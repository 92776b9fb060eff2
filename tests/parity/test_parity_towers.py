"""Both towers of CLIP, SigLIP and TIPSv2 against transformers: every block of the one for texts, zero-shot logits."""

import json
from types import SimpleNamespace
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import pytest
from PIL import Image

from tests import two_towers
from tests.parity.test_parity_vit import above, nchw
from tests.parity.test_parity_vit_parts import drawn
from tljax.commands.zero_shot import zero_shot
from tljax.core.types import Card, Published
from tljax.networks.families import text_tower
from tljax.networks.network import Network
from tljax.serving import published_model
from tljax.serving.predictor import Predictor
from tljax.transfer import text_head
from tljax.weights import placement, pretrained

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch", reason="torch is not installed; `make parity` installs it")
transformers = pytest.importorskip("transformers", reason="transformers is not installed; `make parity` installs it")

SIZES = {"hidden_size": 24, "num_attention_heads": 3, "num_hidden_layers": 3, "intermediate_size": 40, "vocab_size": 70}
CLASSES = ["cat", "dog", "hot_dog", "a very old boat"]
TEMPLATES = ["a photo of a {}", "{}"]


def clip(**options: Any) -> Any:
    config = transformers.CLIPTextConfig(
        **SIZES, max_position_embeddings=11, projection_dim=7, eos_token_id=69, **options
    )
    return transformers.CLIPTextModelWithProjection(config)


def siglip(**options: Any) -> Any:
    config = transformers.SiglipTextConfig(**SIZES, max_position_embeddings=11, pad_token_id=0, **options)
    return transformers.SiglipTextModel(config)


def tips() -> Any:
    return transformers.Tipsv2TextModel(transformers.Tipsv2TextConfig(**SIZES, max_position_embeddings=11))


TOWERS = {"CLIP": clip, "CLIP, exact GELU": lambda: clip(hidden_act="gelu"), "SigLIP": siglip, "TIPSv2": tips}


@pytest.mark.parametrize("name", TOWERS)
@pytest.mark.parametrize("length", [11, 6])
def test_every_block_and_the_vector_of_a_text(name, length):
    module = drawn(TOWERS[name]())
    arrays = {key: tensor.numpy().copy() for key, tensor in module.state_dict().items()}
    published = Published(arrays, Card(mean=(), std=()), "a file", json.loads(module.config.to_json_string()))
    asked = SimpleNamespace(family="text_tower", variant="auto", prefix="")
    variant, published, _ = pretrained.understood(text_tower, asked, published)
    rng, lengths = np.random.default_rng(0), np.array([length, 4, 2])
    mask = np.arange(length) < lengths[:, None]
    ids = np.where(mask, rng.integers(5, 69, mask.shape), 0).astype(np.int32)
    ids[np.arange(3), lengths - 1] = 69
    x = {"ids": ids, "mask": mask, "types": np.zeros_like(ids)}
    net = Network(text_tower.build(variant), nn.Dense(2))
    adapted = Published(text_tower.adapt(published.arrays), published.card, published.where)
    variables, _ = placement.start(
        net, x, seed=0, published=adapted, names=text_tower.names(variant), unused=text_tower.UNUSED
    )
    found, y = {}, x
    for stage in net.backbone.stages:
        y = net.apply(variables, y, method=lambda net, y, stage=stage: net.backbone(y, start=stage, stop=stage))
        found[stage] = np.asarray(y if stage == "pool" else y["hidden"])
    whole = np.pad(ids, ((0, 0), (0, 11 - length))) if name == "SigLIP" else ids
    seen = {"attention_mask": torch.tensor(mask)} if name == "TIPSv2" else {}
    with torch.inference_mode():
        output = module(torch.tensor(whole), output_hidden_states=True, **seen)
    expected = {f"block{i}": hidden.numpy() for i, hidden in enumerate(output.hidden_states[1:])}
    expected["embed"] = output.hidden_states[0].numpy()
    expected["pool"] = (output.text_embeds if "CLIP" in name else output.pooler_output).numpy()
    assert above(1e-5, found, expected, f"{name}, {length} tokens") == {}


def whole(kind: str) -> Any:
    """A random model of two towers, whose words are those of `two_towers.tokenizer`."""
    words = len(two_towers.tokenizer(kind))
    text = {**SIZES, "vocab_size": words, "max_position_embeddings": 30}
    vision = {**SIZES, "image_size": 48, "patch_size": 16}
    vision.pop("vocab_size")
    if kind == "clip":
        text["eos_token_id"] = words - 1  # the last that the tokenizer adds
        return drawn(
            transformers.CLIPModel(transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=7))
        )
    if kind == "tips":
        vision |= {"num_register_tokens": 1, "patch_size": 12}
        return drawn(transformers.Tipsv2Model(transformers.Tipsv2Config(text_config=text, vision_config=vision)))
    text["pad_token_id"] = 0
    module = drawn(transformers.SiglipModel(transformers.SiglipConfig(text_config=text, vision_config=vision)))
    with torch.no_grad():
        module.logit_scale.fill_(2.0)
        module.logit_bias.fill_(-3.0)
    return module


@pytest.mark.parametrize("kind", ["clip", "siglip", "tips"])
def test_zero_shot_logits(kind, tmp_path):
    module = whole(kind)
    module.save_pretrained(tmp_path)
    two_towers.tokenizer(kind).save_pretrained(tmp_path)
    size = {"size": {"shortest_edge": 48}, "crop_size": {"height": 48, "width": 48}}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(two_towers.PROCESSOR | size))
    files, rng = [], np.random.default_rng(0)
    for i in range(3):
        files.append(tmp_path / f"{i}.png")
        Image.fromarray(rng.integers(0, 255, (48, 57, 3), np.uint8)).save(files[-1])
    lock = tmp_path / "lock.json"
    model, _, published = published_model.load(str(tmp_path), family="vit", lock=lock)
    tower = text_head.read(str(tmp_path), lock=lock)
    model = zero_shot(model, published.arrays, tower, CLASSES, TEMPLATES[:1])
    examples = [model.asked.read(file) for file in files]
    pixels = np.asarray(model.asked.prepare(model.asked.batch(examples), jax.random.key(0), False)["inputs"])
    words = transformers.AutoTokenizer.from_pretrained(tmp_path)
    padded = {"padding": "max_length", "max_length": 30, "padding_side": "right", "return_tensors": "pt"}
    texts = words([TEMPLATES[0].format(one.replace("_", " ")) for one in CLASSES], **padded)
    seen = {"attention_mask": texts["attention_mask"]} if kind == "tips" else {}
    with torch.inference_mode():
        expected = module(input_ids=texts["input_ids"], pixel_values=nchw(pixels), **seen).logits_per_image.numpy()
    found = Predictor(model, batch_size=4)(examples)
    assert above(1e-5, {"logits": found}, {"logits": expected}, f"zero-shot of {kind}") == {}
