"""Weights, inputs and positions drawn from fixed seeds, the same on every machine and numpy version.

The script that runs torch and the tests that do not have it draw here, so no weights are stored.
"""

import math
import zlib
from collections.abc import Iterable, Mapping

import numpy as np

SEED = 20151210
INPUTS = ((2, 64, 64, 3), (1, 45, 61, 3))  # (B, H, W, C); the odd sizes show on which side padding lies
KEPT = 1024  # values stored of each stage's output


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
    if name.endswith("running_var"):
        return uniform(name, shape, 0.5, 2.0)
    if name.endswith(("running_mean", "bias")):
        return uniform(name, shape, -0.5, 0.5)
    if len(shape) == 1:  # BatchNorm's scale
        return uniform(name, shape, 0.5, 1.5)
    # He et al. 2015: variance 2 / fan_in keeps the size of activations through convolution and ReLU.
    bound = math.sqrt(6 / math.prod(shape[1:]))
    return uniform(name, shape, -bound, bound)


def image(shape: tuple[int, ...]) -> np.ndarray:
    """Pixels as normalised ones are: in [-2, 2)."""
    return uniform(f"image {shape}", shape, -2.0, 2.0)


def positions(size: int) -> np.ndarray:
    """Where to look in a flat output of `size` values: up to KEPT different places, all over it."""
    step = 1_000_003  # a prime, so that it shares no factor with the sizes of axes
    return np.arange(min(size, KEPT)) * step % size
