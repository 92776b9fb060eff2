"""What spellings of vision transformers have in common: tensors that the family's naming holds in another place."""

import numpy as np

from tljax.core.types import Arrays


def fold_class_position(arrays: Arrays) -> Arrays:
    """With registers, the class token's position becomes a part of it: the family has positions of patches alone."""
    if "reg_token" not in arrays:
        return arrays
    token, positions = arrays["cls_token"], arrays["pos_embed"]
    changed = {"cls_token": lambda: token + positions[:, :1], "pos_embed": lambda: positions[:, 1:]}
    return Arrays.of(arrays, changed)


def add_bias(arrays: Arrays) -> Arrays:
    """CLIP's projection into the space of texts has no bias; the family's classifier has one: zeros."""
    if "head.weight" not in arrays:
        return arrays
    return Arrays.of(arrays, {"head.bias": lambda: np.zeros(len(arrays["head.weight"]), np.float32)})
