"""Losses of segmentation, one value a picture: cross-entropy, focal, Dice."""

import jax
import jax.numpy as jnp
import optax

from tljax.core.types import IGNORED

GAMMA = 2.0  # of the focal loss (Lin et al. 2017, arXiv 1708.02002, section 4)
SMOOTH = 1.0  # pixels added to both sides of the Dice quotient


def cross_entropy(logits: jax.Array, label: jax.Array, weights: jax.Array) -> jax.Array:
    """The mean over the pixels that count, weighted by class as torch's cross_entropy: (B,) nats.

    Args:
      logits: (B, H, W, K) float32.
      label: (B, H, W), a class or IGNORED.
      weights: (K,) of the classes.
    """
    losses, weight = _pixels(logits, label, weights)
    return (losses * weight).sum((1, 2)) / jnp.maximum(weight.sum((1, 2)), 1e-6)


def focal(logits: jax.Array, label: jax.Array, weights: jax.Array) -> jax.Array:
    """The same with each pixel times (1 - p)^GAMMA, p the probability of its class."""
    losses, weight = _pixels(logits, label, weights)
    hard = (1 - jnp.exp(-losses)) ** GAMMA
    return (losses * hard * weight).sum((1, 2)) / jnp.maximum(weight.sum((1, 2)), 1e-6)


def dice(logits: jax.Array, label: jax.Array, weights: jax.Array) -> jax.Array:
    """1 - the mean Dice coefficient of the classes in the picture (Milletari et al. 2016, arXiv 1606.04797), (B,)."""
    counts = (label != IGNORED)[..., None]
    truth = jax.nn.one_hot(label, logits.shape[-1])  # IGNORED is no class: zeros
    probabilities = jax.nn.softmax(logits) * counts
    both, either = (truth * probabilities).sum((1, 2)), (truth + probabilities).sum((1, 2))  # (B, K)
    weight = weights[None] * truth.any((1, 2))
    scores = (2 * both + SMOOTH) / (either + SMOOTH)
    return ((1 - scores) * weight).sum(1) / jnp.maximum(weight.sum(1), 1e-6)


def _pixels(logits: jax.Array, label: jax.Array, weights: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Cross-entropy and weight of every pixel, (B, H, W); the weight is 0 where a pixel is ignored."""
    counts = label != IGNORED
    classes = jnp.where(counts, label, 0).astype(jnp.int32)
    return optax.softmax_cross_entropy_with_integer_labels(logits, classes), jnp.where(counts, weights[classes], 0.0)


LOSSES = {
    "cross_entropy": (cross_entropy,),
    "focal": (focal,),
    "dice": (dice,),
    "cross_entropy+dice": (cross_entropy, dice),
}
