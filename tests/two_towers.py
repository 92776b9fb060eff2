"""Small CLIPs, SigLIPs and TIPSv2s in transformers' layout, random weights and a real tokenizer, without torch."""

import json
import string
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from tests.weights import test_vit_spellings as pictures
from tests.weights.test_translation import fill
from tljax.networks.families import text_tower
from tljax.networks.network import Network
from tljax.networks.towers.text import Variant
from tljax.tasks import classification
from tljax.weights import placement

LETTERS = string.ascii_lowercase
TEXT = {"hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 2, "intermediate_size": 12}
CONFIGS = {
    "clip": {"model_type": "clip", "text_config": {**TEXT, "max_position_embeddings": 20, "vocab_size": 70},
             "vision_config": {**TEXT, "hidden_act": "quick_gelu"}},
    "siglip": {"model_type": "siglip", "text_config": {**TEXT, "max_position_embeddings": 30, "vocab_size": 70,
                                                       "pad_token_id": 0}, "vision_config": TEXT},
    "tips": {"model_type": "tipsv2", "text_config": {**TEXT, "max_position_embeddings": 30, "vocab_size": 70},
             "vision_config": TEXT, "temperature_init_value": 0.05},
}  # fmt: skip
PROCESSOR = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "size": {"shortest_edge": 16}, "do_center_crop": True,
             "crop_size": {"height": 16, "width": 16}, "resample": 3}  # fmt: skip
PROJECTION = {"clip": 3, "siglip": 8, "tips": 0}


def shape(kind: str) -> Variant:
    """The sizes of the tower for texts."""
    sizes = {"vocabulary": 70, "positions": 20, "activation": "quick_gelu"}
    if kind == "siglip":
        sizes = {"vocabulary": 70, "padding": 0, **text_tower.SIGLIP, "positions": 30}
    if kind == "tips":
        sizes = {**text_tower.TIPSV2, "vocabulary": 70, "positions": 30}
    return Variant(8, 2, 2, 12, projection=PROJECTION[kind], **sizes)


def text_arrays(kind: str, seed: int = 2) -> dict[str, np.ndarray]:
    """Random tensors of the tower for texts under transformers' names."""
    network = Network(text_tower.build(shape(kind)), classification.head(2))
    ids = np.zeros((1, 8), np.int32)
    empty = placement.shapes(network, {"ids": ids, "mask": ids > -1, "types": ids})
    variables = {c: fill(tree, np.random.default_rng(seed)) for c, tree in empty.items()}
    arrays = placement.publish(variables, text_tower.names(shape(kind)))
    return {name: x for name, x in arrays.items() if not name.startswith("classifier.")}


def tips() -> dict[str, np.ndarray]:
    """Both towers under the names of TIPSv2's files."""
    swaps = {"text_model.": "text_encoder.", "embeddings.": "", "encoder.layers.": "transformer.resblocks.",
             "layer_norm": "ln_", "self_attn.": "attn.", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj",
             "final_ln_": "ln_final"}  # fmt: skip
    towers = pictures.tips(pictures.published("tips")).items()
    arrays = {name: x for name, x in towers if name.startswith("vision_encoder.")}
    for name, x in text_arrays("tips").items():
        theirs = name
        for ours, other in swaps.items():
            theirs = theirs.replace(ours, other)
        part = next((letter for letter in "qkv" if f"attn.{letter}_proj." in theirs), "")
        theirs = theirs.replace(f"attn.{part}_proj.", "attn.in_proj_") if part else theirs
        arrays[theirs] = np.concatenate([arrays[theirs], x]) if theirs in arrays else x
    return arrays


def tokenizer(kind: str) -> Any:
    """A tokenizer of letters: CLIP's byte-level BPE, or the BPE of SigLIP 2's Gemma, or that of TIPSv2."""
    from tokenizers import processors
    from transformers import CLIPTokenizer, Siglip2Tokenizer, Tipsv2Tokenizer

    if kind == "clip":
        words = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), "ca", "cat</w>"]
        words += ["<|startoftext|>", "<|endoftext|>"]
        merges = [("c", "a"), ("ca", "t</w>")]
        return CLIPTokenizer(vocab={word: i for i, word in enumerate(words)}, merges=merges)
    if kind == "tips":
        words = ["<pad>", "<unk>", *LETTERS, "▁", "ca", "cat"]
        return Tipsv2Tokenizer(vocab={word: i for i, word in enumerate(words)}, merges=[("c", "a"), ("ca", "t")])
    words = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *LETTERS, "▁", "ca", "cat"]
    merges = [("c", "a"), ("ca", "t")]
    made = Siglip2Tokenizer(vocab={word: i for i, word in enumerate(words)}, merges=merges)
    made.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="$A <eos>", special_tokens=[("<eos>", 1)]
    )
    return made


def write(folder: Path, kind: str) -> Path:
    """Both towers, tokenizer and configs in `folder`, as transformers lays them."""
    folder.mkdir(parents=True, exist_ok=True)
    both = tips() if kind == "tips" else pictures.tower(pictures.published(kind)) | text_arrays(kind)
    both = {name: x for name, x in both.items() if np.asarray(x).ndim or "logit" not in name}
    both.pop("vision_model.embeddings.position_ids", None)
    if kind == "siglip":
        both["logit_bias"] = np.full(1, -2.0, np.float32)
    if kind != "tips":  # its scale is in the config
        both["logit_scale"] = np.full((), np.log(20.0), np.float32)
    safetensors.numpy.save_file(
        {name: np.ascontiguousarray(x) for name, x in both.items()}, folder / "model.safetensors"
    )
    (folder / "config.json").write_text(json.dumps(CONFIGS[kind]))
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    tokenizer(kind).save_pretrained(folder)
    return folder
