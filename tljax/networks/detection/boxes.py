"""Functions of boxes [top, left, bottom, right]: overlaps, and the choice of the best of many that overlap."""

import jax
import jax.numpy as jnp
from jax import lax

from tljax.core.types import NO_BOX


def area(boxes: jax.Array) -> jax.Array:
    """(..., 4) -> (...); 0 for a box without an inside."""
    return (boxes[..., 2] - boxes[..., 0]).clip(0) * (boxes[..., 3] - boxes[..., 1]).clip(0)


def overlap(one: jax.Array, other: jax.Array) -> jax.Array:
    """Intersection over union of boxes (..., 4), pair by pair: (...); 0 if both have no inside."""
    both, either = _both_and_either(one, other)
    return both / jnp.maximum(either, 1e-9)


def generalized_overlap(one: jax.Array, other: jax.Array) -> jax.Array:
    """GIoU: IoU - (hull - union) / hull, where hull is the smallest box that holds both: in (-1, 1].

    Rezatofighi et al. 2019, arXiv 1902.09630, algorithm 1.
    """
    both, either = _both_and_either(one, other)
    low, high = jnp.minimum(one[..., :2], other[..., :2]), jnp.maximum(one[..., 2:4], other[..., 2:4])
    hull = area(jnp.concatenate([low, high], axis=-1))
    return both / jnp.maximum(either, 1e-9) - (hull - either) / jnp.maximum(hull, 1e-9)


def chosen(
    scores: jax.Array, boxes: jax.Array, *, number: int, candidates: int, least: float, most_overlap: float
) -> jax.Array:
    """Non-maximum suppression with fixed sizes: the best box, then the best that overlaps no better one of its class.

    Args:
      scores: (L, K) in [0, 1], of every place and class.
      boxes: (L, 4), of every place.
      number: D, the boxes to return.
      candidates: the most pairs of place and class that are looked at, those with the highest scores.
      least: only scores above it count.
      most_overlap: a box whose IoU with a better one of its class is larger is dropped.

    Returns:
      (D, 6) float32, [top, left, bottom, right, class, score], best first; padding has the class NO_BOX, score 0.
    """
    classes = scores.shape[1]
    best, places = lax.top_k(scores.reshape(-1), min(candidates, scores.size))
    place, kind = places // classes, (places % classes).astype(jnp.float32)
    rows = jnp.concatenate([boxes[place], kind[:, None], best[:, None]], axis=-1).astype(jnp.float32)
    nothing = jnp.array([0, 0, 0, 0, NO_BOX, 0], jnp.float32)

    def choose(left: jax.Array, _: None) -> tuple[jax.Array, jax.Array]:
        at = jnp.argmax(left)
        row, found = rows[at], left[at] > 0
        covers = (overlap(row[None], rows) > most_overlap) & (rows[:, 4] == row[4])
        left = jnp.where(covers | (jnp.arange(left.size) == at), 0.0, left)
        return left, jnp.where(found, row, nothing)

    _, found = lax.scan(choose, jnp.where(best > least, best, 0.0), None, length=number)
    return found


def _both_and_either(one: jax.Array, other: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Areas of intersection and union."""
    low, high = jnp.maximum(one[..., :2], other[..., :2]), jnp.minimum(one[..., 2:4], other[..., 2:4])
    both = area(jnp.concatenate([low, high], axis=-1))
    return both, area(one) + area(other) - both
