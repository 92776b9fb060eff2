"""Which box a place of FCOS answers for, and the loss of its answer: one picture at a time."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from tljax.networks.detection import boxes

RADIUS = 1.5  # strides around a box's centre in which places answer for it: FCOS's centre sampling
RANGE = (4.0, 8.0)  # strides to a box's furthest side that a level answers for: 64 to 128 pixels at stride 16
ALPHA, GAMMA = 0.25, 2.0  # focal loss, arXiv 1708.02002, table 1


class Targets(NamedTuple):
    """What L places should answer."""

    box: jax.Array  # (L, 4)
    number: jax.Array  # (L,) int32, the class; only where `found`
    found: jax.Array  # (L,) bool: a box is at the place
    centre: jax.Array  # (L,) in [0, 1]: 1 in the middle of the box


class Losses(NamedTuple):
    """The three parts of the loss of a picture, ()."""

    classes: jax.Array
    boxes: jax.Array
    centre: jax.Array


def assigned(points: jax.Array, label: jax.Array) -> Targets:
    """The targets of the places of one picture (arXiv 1904.01355, sections 3.1 and 3.2, with centre sampling).

    A place answers for a box if it lies in it, at most RADIUS strides from its centre, and the box's furthest side is
    within RANGE of its level; the first level takes smaller boxes too, the last one larger. Of several, the smallest.

    Args:
      points: (L, 3) [row, column, stride].
      label: (M, 5) boxes with classes; NO_BOX is padding.
    """
    points = jax.lax.stop_gradient(points)
    stride = points[:, 2]
    sides = _sides(points[:, None], label[None, :, :4])  # (L, M, 4) in strides
    middle = (label[:, :2] + label[:, 2:4]) / 2
    near = jnp.abs(points[:, None, :2] - middle[None]).max(-1) < RADIUS * stride[:, None]
    low = jnp.where(stride == stride.min(), 0.0, RANGE[0])
    high = jnp.where(stride == stride.max(), jnp.inf, RANGE[1])
    furthest = sides.max(-1)
    fits = (furthest > low[:, None]) & (furthest <= high[:, None]) & (sides.min(-1) > 0) & near
    areas = jnp.where(fits & (label[:, 4] >= 0)[None], boxes.area(label[:, :4])[None], jnp.inf)
    which, found = areas.argmin(axis=1), jnp.isfinite(areas.min(axis=1))
    box = label[which, :4]
    return Targets(box, label[which, 4].astype(jnp.int32), found, _centre(points, box))


def losses(output: dict[str, jax.Array], label: jax.Array) -> Losses:
    """The losses of one picture, each divided by the number of its places with a box (at least 1).

    Focal loss of all places and classes; 1 - GIoU and the cross-entropy of centre-ness at places with a box. Dividing
    by the picture's own number, and not by the batch's, makes a batch's loss the mean of its pictures' losses.

    Args:
      output: the head's, of one picture: logits (L, K), centre (L,), boxes (L, 4), points (L, 3).
    """
    wanted = assigned(output["points"], label)
    number = jnp.maximum(wanted.found.sum(), 1)
    hot = jax.nn.one_hot(jnp.where(wanted.found, wanted.number, -1), output["logits"].shape[-1])
    focal = optax.sigmoid_focal_loss(output["logits"], hot, alpha=ALPHA, gamma=GAMMA)
    apart = 1 - boxes.generalized_overlap(output["boxes"], wanted.box)
    centre = optax.sigmoid_binary_cross_entropy(output["centre"], wanted.centre)
    return Losses(
        focal.sum() / number,
        jnp.where(wanted.found, apart, 0.0).sum() / number,
        jnp.where(wanted.found, centre, 0.0).sum() / number,
    )


def scores(output: dict[str, jax.Array]) -> jax.Array:
    """(L, K) in [0, 1]: the square root of the class's probability times centre-ness, as in FCOS's code."""
    return jnp.sqrt(jax.nn.sigmoid(output["logits"]) * jax.nn.sigmoid(output["centre"])[..., None])


def _sides(points: jax.Array, box: jax.Array) -> jax.Array:
    """Strides from places (..., 3) to the sides of boxes (..., 4): up, left, down, right; negative outside."""
    return jnp.concatenate([points[..., :2] - box[..., :2], box[..., 2:] - points[..., :2]], axis=-1) / points[..., 2:]


def _centre(points: jax.Array, box: jax.Array) -> jax.Array:
    """Centre-ness (arXiv 1904.01355, equation 3): sqrt(min(l, r) / max(l, r) * min(t, b) / max(t, b)); 0 outside."""
    up, left, down, right = jnp.moveaxis(_sides(points, box).clip(0), -1, 0)
    ratios = [jnp.minimum(a, b) / jnp.maximum(jnp.maximum(a, b), 1e-9) for a, b in ((left, right), (up, down))]
    return jnp.sqrt(ratios[0] * ratios[1])
