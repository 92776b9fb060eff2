"""Changes to tensors that several spellings of vision transformers need to fit the family's names."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from tljax.core.errors import WeightsError
from tljax.core.types import Arrays


def refuse_others(arrays: Mapping[str, np.ndarray]) -> None:
    """Refuse networks with the tensors of a ViT of this file that compute something else from them.

    Raises:
      WeightsError: EVA and EVA-02 (biases of queries and values alone), BEiT and CaiT, rotary ViTs other than DINOv3's
        (no registers), the Perception Encoder (attention pooling beside a class token).
    """
    relative = "blocks.0.attn.relative_position_bias_table" in arrays
    cait = "blocks_token_only.0.gamma_1" in arrays
    alone = "reg_token" not in arrays
    kinds = {
        "EVA or EVA-02": "blocks.0.attn.q_bias" in arrays and alone and not relative,
        "BEiT, of relative positions": relative,
        "CaiT": cait,
        "a ViT with rotary positions other than DINOv3's": "blocks.0.gamma_1" in arrays
        and alone
        and not (relative or cait),
        "a hybrid of convolutions and a ViT": any(name.startswith("patch_embed.backbone.") for name in arrays),
        "a Perception Encoder": "attn_pool.latent" in arrays and "cls_token" in arrays,
    }
    if parts := [name for name, there in kinds.items() if there]:
        raise WeightsError(
            f"The file must hold a ViT that tljax computes; it holds {' and '.join(parts)}, whose tensors have "
            f"the same names and which is computed otherwise: its answers would be wrong. Choose weights of "
            f"a card of `tljax zoo`, or add the network as a family of your own (docs/how-to/network.md)."
        )


def fold_class_position(arrays: Arrays) -> Arrays:
    """Add the class token's position to the token: with registers, the family has positions for patches only."""
    if "reg_token" not in arrays:
        return arrays
    token, positions = arrays["cls_token"], arrays["pos_embed"]
    changed = {"cls_token": lambda: token + positions[:, :1], "pos_embed": lambda: positions[:, 1:]}
    return Arrays.of(arrays, changed)


def add_bias(arrays: Arrays) -> Arrays:
    """CLIP's projection to the text space has no bias; the family's classifier has one. It becomes zeros."""
    if "head.weight" not in arrays:
        return arrays
    return Arrays.of(arrays, {"head.bias": lambda: np.zeros(len(arrays["head.weight"]), np.float32)})


def join_dinov3(arrays: Arrays) -> Arrays:
    """Join DINOv3's biases of queries and values, with zeros for the keys; and the two layers of a gated MLP."""
    refuse_others(arrays)  # before biases are joined, which show EVA
    changed: dict[str, Callable[[], np.ndarray] | None] = {}
    for name in arrays:
        block, _, last = name.rpartition(".attn.")
        if last == "q_bias" and f"{block}.attn.v_bias" in arrays:
            changed[f"{block}.attn.qkv.bias"] = partial(_biases, arrays, f"{block}.attn.")
            changed |= {
                f"{block}.attn.{letter}_bias": None for letter in "qkv" if f"{block}.attn.{letter}_bias" in arrays
            }
        block, middle, leaf = name.partition(".mlp.fc1_x.")
        if middle:  # an MLP without a gate has only this layer
            names = [one for one in (f"{block}.mlp.fc1_{part}.{leaf}" for part in "gx") if one in arrays]
            changed[f"{block}.mlp.fc1.{leaf}"] = partial(_joined, arrays, names)
            changed |= dict.fromkeys(names)
    return Arrays.of(arrays, changed)


def _biases(arrays: Arrays, before: str) -> np.ndarray:
    biases = {letter: arrays[f"{before}{letter}_bias"] for letter in "qkv" if f"{before}{letter}_bias" in arrays}
    return np.concatenate([biases.get(letter, np.zeros_like(biases["q"])) for letter in "qkv"])


def _joined(arrays: Arrays, names: Sequence[str]) -> np.ndarray:
    return np.concatenate([arrays[name] for name in names])
