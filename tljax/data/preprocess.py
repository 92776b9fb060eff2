"""From stored uint8 pictures to what the network sees: augment, resize, normalise, on the device."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tljax.core.errors import ConfigError
from tljax.core.types import Batch, Card, Prepare

METHODS = {"nearest": "nearest", "bilinear": "linear", "bicubic": "cubic", "lanczos": "lanczos3"}


def make(config: Any, card: Card, shape: tuple[int, ...]) -> Prepare:
    """A pure function (batch, key, train) -> normalised pixels (B, size, size, C) float32.

    In training: random crop (of `data.crop` pixels, after padding by `data.pad`) or random resized
    crop (`data.min_area`), then a flip (`data.flip`). Every example draws from its own key, so the
    draw does not depend on how a batch is spread over devices. In evaluation: the central crop.

    Args:
      shape: (S, S, C) of the stored pictures.

    Raises:
      ConfigError: sizes or channels that do not fit together.
    """
    stored, channels, crop = shape[0], shape[-1], config.crop or shape[0]
    if shape[0] != shape[1] or crop > stored:
        raise ConfigError(
            f"config.data.crop must be at most the stored size, of square pictures; got crop {crop} of {shape[:2]}. "
            f"Set config.data.resize to make every picture square."
        )
    if not len(card.mean) == len(card.std) == channels:
        raise ConfigError(
            f"Weights expect {len(card.mean)} channel(s) (config.model.card.mean), the pictures have {channels}. "
            f"Set config.data.channels, or choose weights that fit."
        )

    def prepare(batch: Batch, key: jax.Array, train: bool) -> jax.Array:
        x = batch["image"]
        if train and draws(config, stored):
            keys = jax.vmap(jax.random.fold_in, (None, 0))(key, batch["position"])
            x = jax.vmap(lambda k, image: _augment(k, image, config, crop))(keys, x)
        elif crop < stored:
            edge = (stored - crop) // 2
            x = x[:, edge : edge + crop, edge : edge + crop]
        return normalise(resize(x, config.size, card.interpolation), card)

    return prepare


def draws(config: Any, stored: int) -> bool:
    """Whether training sees pictures, `stored` pixels wide, other than evaluation does."""
    crops = config.pad or config.min_area or 0 < config.crop < stored
    return bool(config.augment and (config.flip or crops))


def example(config: Any) -> np.ndarray:
    """One input as `prepare` makes it: (1, size, size, C) float32, zeros."""
    return np.zeros((1, config.size, config.size, config.channels), np.float32)


def resize(x: jax.Array, size: int, interpolation: str) -> jax.Array:
    """(B, H, W, C) uint8 or float -> (B, size, size, C) float32, antialiased when it shrinks."""
    x = x.astype(jnp.float32)
    if x.shape[1:3] == (size, size):
        return x
    return jax.image.resize(x, (x.shape[0], size, size, x.shape[-1]), METHODS[interpolation])


def normalise(x: jax.Array, card: Card) -> jax.Array:
    """`(x / scale - mean) / std` per channel, in the card's channel order."""
    if card.channel_order == "BGR":
        x = x[..., ::-1]
    mean, std = np.array(card.mean, np.float32), np.array(card.std, np.float32)
    scale, shift = 1 / (np.float32(card.scale) * std), mean / std
    return x * scale[None, None, None] - shift[None, None, None]  # (B, H, W, C)


def _augment(key: jax.Array, image: jax.Array, config: Any, crop: int) -> jax.Array:
    """One picture (S, S, C) uint8 -> (crop, crop, C)."""
    for_crop, for_flip = jax.random.split(key)
    if config.min_area:
        image = _resized_crop(for_crop, image, crop, config.min_area)
    else:
        if config.pad:
            image = jnp.pad(image, ((config.pad, config.pad), (config.pad, config.pad), (0, 0)))
        corner = jax.random.randint(for_crop, (2,), 0, jnp.array(image.shape[:2]) - crop + 1)
        image = jax.lax.dynamic_slice(image, (*corner, 0), (crop, crop, image.shape[-1]))
    if config.flip:
        image = jnp.where(jax.random.bernoulli(for_flip), image[:, ::-1], image)
    return image


def _resized_crop(key: jax.Array, image: jax.Array, size: int, min_area: float) -> jax.Array:
    """A rectangle of min_area..1 of the picture and aspect 3/4..4/3, resized (Szegedy et al. 2015)."""
    stored = image.shape[0]
    area_key, aspect_key, corner_key = jax.random.split(key, 3)
    area = jax.random.uniform(area_key, minval=min_area, maxval=1.0)
    aspect = jnp.exp(jax.random.uniform(aspect_key, minval=jnp.log(3 / 4), maxval=jnp.log(4 / 3)))
    sides = jnp.minimum(1.0, jnp.sqrt(area * jnp.array([1 / aspect, aspect]))) * stored  # height, width
    corner = jax.random.uniform(corner_key, (2,)) * (stored - sides)
    scale = size / sides
    shape = (size, size, image.shape[-1])
    return jax.image.scale_and_translate(
        image.astype(jnp.float32), shape, (0, 1), scale, -corner * scale, "linear", antialias=True
    )
