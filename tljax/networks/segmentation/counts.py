"""Exact counts of pixels, by which segmentation is judged: they add up over pictures, batches and devices."""

import math

import jax
import jax.numpy as jnp
from jax import lax

from tljax.core.types import IGNORED

TOLERANCE = 0.0075  # of the picture's diagonal: how far a boundary may lie off (Csurka et al. 2013, BMVC, section 3)


def confusion(label: jax.Array, predicted: jax.Array, classes: int) -> jax.Array:
    """(B, H, W) twice -> (B, K, K) int32: pixels of each picture by label (rows) and answer (columns).

    Pixels whose label is IGNORED are not counted.
    """
    cell = jnp.where(
        label == IGNORED, classes * classes, label.astype(jnp.int32) * classes + predicted.astype(jnp.int32)
    )
    count = jax.vmap(lambda cells: jnp.zeros(classes * classes + 1, jnp.int32).at[cells.reshape(-1)].add(1))
    return count(cell)[:, :-1].reshape(-1, classes, classes)


def boundaries(label: jax.Array, predicted: jax.Array, classes: int) -> jax.Array:
    """Pixels on the boundary of each class: (B, H, W) twice -> (B, 4, K) int32.

    Rows: boundary pixels of the answer, and those near a boundary pixel of the label; then both the other way round.
    A boundary pixel has a neighbour (of four) of another class. Near is a square of `TOLERANCE` to each side.
    """
    counts = label != IGNORED
    predicted = jnp.where(counts, predicted, IGNORED)
    reach = max(1, round(TOLERANCE * math.hypot(*label.shape[1:])))

    def of_class(k: jax.Array) -> jax.Array:
        ours, theirs = (_edge(one == k, counts) for one in (predicted, label))
        rows = ours, ours & _grown(theirs, reach), theirs, theirs & _grown(ours, reach)
        return jnp.stack([row.sum((1, 2), dtype=jnp.int32) for row in rows], axis=1)  # (B, 4)

    return jnp.moveaxis(lax.map(of_class, jnp.arange(classes)), 0, 2)


def _edge(inside: jax.Array, counts: jax.Array) -> jax.Array:
    """Pixels of a class that have a counted neighbour of another class; the picture's edge is no boundary."""
    other = counts & ~inside
    padded = jnp.pad(other, ((0, 0), (1, 1), (1, 1)))
    beside = padded[:, :-2, 1:-1] | padded[:, 2:, 1:-1] | padded[:, 1:-1, :-2] | padded[:, 1:-1, 2:]
    return inside & beside


def _grown(x: jax.Array, reach: int) -> jax.Array:
    """Pixels with one of `x` in the square of `reach` to each side."""
    for window in ((1, 2 * reach + 1, 1), (1, 1, 2 * reach + 1)):
        x = lax.reduce_window(x, False, lax.bitwise_or, window, (1, 1, 1), "SAME")
    return x
