"""Weights, inputs and positions drawn from fixed seeds, the same on every machine and numpy version.

The script that runs torch and the tests that do not have it draw here, so no weights are stored.
"""

import math
import zlib
from collections.abc import Iterable, Mapping

import numpy as np

SEED = 20151210
INPUTS = ((2, 64, 64, 3), (1, 45, 61, 3))  # (B, H, W, C); the odd sizes show on which side padding lies
TEXTS = ((3, 10), (1, 7))  # (B, L)
KEPT = 1024  # values stored of each stage's output
# What the channels of a BiT are divided by for its stored outputs. A GroupNorm has 32 groups: no less than 32 are left.
BIT_NARROW = {"R50x1": 1, "R101x1": 2, "R50x3": 6, "R101x3": 6, "R152x2": 4, "R152x4": 8}


def uniform(key: str, shape: tuple[int, ...], low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """float32 numbers in [low, high), fixed by `key`.

    From the bits of PCG64: numpy promises those for ever, but not what its distributions make of them.
    """
    bits = np.random.PCG64([SEED, zlib.crc32(key.encode())]).random_raw(math.prod(shape))
    unit = (bits >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)  # exact: 24 bits of a float32
    return (np.float32(low) + unit * np.float32(high - low)).reshape(shape)


def weights(shapes: Mapping[str, Iterable[int]]) -> dict[str, np.ndarray]:
    """One array for every published name; BatchNorm's are far from the identity, so that each one counts."""
    return {name: _tensor(name, tuple(shape)) for name, shape in shapes.items()}


def _tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
    if "/c/group_norm/" in name:
        # A BiT standardises its kernels, so what a unit adds is as large as this, its last GroupNorm: less than what
        # it is added to. Where it is as large, 50 units make 1e-4 of float32's rounding, in torch itself too.
        return uniform(name, shape, 0.1, 0.3) if name.endswith("gamma") else uniform(name, shape, -0.1, 0.1)
    if name.endswith("running_var"):
        return uniform(name, shape, 0.5, 2.0)
    if name.endswith(("running_mean", "bias", "beta")):
        return uniform(name, shape, -0.5, 0.5)
    if len(shape) == 1:  # a normalisation's scale
        return uniform(name, shape, 0.5, 1.5)
    # He et al. 2015: variance 2 / fan_in keeps the size of activations through convolution and ReLU.
    fan_in = math.prod(shape[:-1] if name.endswith("kernel") else shape[1:])  # a kernel is HWIO, a weight OIHW
    bound = math.sqrt(6 / fan_in)
    return uniform(name, shape, -bound, bound)


def image(shape: tuple[int, ...]) -> np.ndarray:
    """Pixels as normalised ones are: in [-2, 2)."""
    return uniform(f"image {shape}", shape, -2.0, 2.0)


def tokens(shape: tuple[int, int], *, vocabulary: int = 50, padding: int = 0) -> dict[str, np.ndarray]:
    """Texts (B, L) of L, L - 3, L - 6 ... tokens, with `padding` behind them, and the later half of another kind."""
    ids = uniform(f"ids {shape}", shape, 2, vocabulary).astype(np.int32)
    mask = np.arange(shape[1])[None] < shape[1] - 3 * np.arange(shape[0])[:, None]
    types = mask & (np.arange(shape[1])[None] >= shape[1] // 2)
    return {"ids": np.where(mask, ids, np.int32(padding)), "mask": mask, "types": types.astype(np.int32)}


def resnet_inputs(variant: str) -> tuple[tuple[int, ...], ...]:
    """The inputs of a ResNet's stored outputs: deep and wide ones take long to compile, and get the odd sizes alone."""
    return INPUTS if variant in ("18", "34", "50") else INPUTS[1:]


def positions(size: int) -> np.ndarray:
    """Where to look in a flat output of `size` values: up to KEPT different places, all over it."""
    step = 1_000_003  # a prime, so that it shares no factor with the sizes of axes
    return np.arange(min(size, KEPT)) * step % size
