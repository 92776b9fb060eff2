"""Changes to tensors that several spellings of vision transformers need to fit the family's names."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from tljax.core.types import Arrays


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
    found = {letter: arrays[f"{before}{letter}_bias"] for letter in "qkv" if f"{before}{letter}_bias" in arrays}
    return np.concatenate([found.get(letter, np.zeros_like(found["q"])) for letter in "qkv"])


def _joined(arrays: Arrays, names: Sequence[str]) -> np.ndarray:
    return np.concatenate([arrays[name] for name in names])
