"""The order of axes in published tensors, and in our parameters."""

import math

import numpy as np

# Layout of a published tensor -> the transposition to ours.
# The last four layouts also change the number of axes: see `published_shape`.
TO_OURS = {
    "same": None,
    "conv": (2, 3, 1, 0),
    "conv over tokens": (2, 1, 0),
    "dense": (1, 0),
    "dense on map": (2, 3, 1, 0),
    "dense as 1x1": None,
    "dense as conv": (1, 0),
    "channels": None,
}
TO_THEIRS = TO_OURS | {"conv": (3, 2, 0, 1), "dense on map": (3, 2, 0, 1)}


def published_shape(shape: tuple[int, ...], layout: str) -> tuple[int, ...]:
    """The published shape of a parameter of `shape`.

    A dense layer on a flattened map is published as (out, C H W); ours, (H, W, C, out), keeps H and W.
    A dense layer that is published as a 1x1 convolution, (1, 1, in, out) or (out, in, 1, 1), is (in, out) here.
    A vector over the channels of a map is published as (C, 1, 1), for torch to broadcast; ours is (C,).
    """
    moved = _axes_moved(shape, TO_THEIRS[layout])
    if layout == "dense on map":
        return moved[0], math.prod(moved[1:])
    if layout == "dense as 1x1":
        return 1, 1, *moved
    return (*moved, 1, 1) if layout in ("channels", "dense as conv") else moved


def to_ours(array: np.ndarray, layout: str, shape: tuple[int, ...]) -> np.ndarray:
    """A view of a published tensor as a parameter of `shape`; the tensor must have `published_shape`."""
    return _transposed(array.reshape(_axes_moved(shape, TO_THEIRS[layout])), TO_OURS[layout])


def to_theirs(array: np.ndarray, layout: str) -> np.ndarray:
    """A copy of a parameter in its published layout, in C order: safetensors writes memory in its order."""
    moved = np.array(_transposed(array, TO_THEIRS[layout]), order="C")  # a copy; flattening needs no second copy
    return moved.reshape(published_shape(array.shape, layout))


def _transposed(array: np.ndarray, axes: tuple[int, ...] | None) -> np.ndarray:
    return array.transpose(axes) if axes else array


def _axes_moved(shape: tuple[int, ...], axes: tuple[int, ...] | None) -> tuple[int, ...]:
    return tuple(shape[axis] for axis in axes or range(len(shape)))
