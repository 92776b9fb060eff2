"""Rotary positions in two dimensions (Su et al. 2021; Heo et al. 2024), as DINOv3 has them."""

import math

import jax
import jax.numpy as jnp


def centres(rows: int, columns: int) -> jax.Array:
    """The centres (y, x) of the patches of a grid, in [-1, 1], float32: (rows * columns, 2)."""
    sides = ((jnp.arange(count, dtype=jnp.float32) + 0.5) / count * 2 - 1 for count in (rows, columns))
    return jnp.stack(jnp.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, 2)


def rotated(x: jax.Array, places: jax.Array, theta: float) -> jax.Array:
    """Queries or keys, rotated by the position of their patch; the tokens before the patches are not rotated.

    Channels i and i + d/2 of a head with d channels are one plane. The angles are 2 pi y / theta^(4 k / d) for the
    first d/4 planes and 2 pi x / theta^(4 k / d) for the other d/4, k = 0 ... d/4 - 1.

    Args:
      x: (B, N, heads, d).
      places: (B, n, 2) float32, of the last n tokens.
    """
    size = x.shape[-1]
    frequencies = 2 * math.pi / theta ** (jnp.arange(0, 1, 4 / size, dtype=jnp.float32))  # (d / 4,)
    angles = places[..., None] * frequencies[None, None, None]  # (B, n, 2, d / 4)
    angles = angles.reshape(*places.shape[:2], 1, size // 2)  # one for all heads
    cos, sin = jnp.cos(angles).astype(x.dtype), jnp.sin(angles).astype(x.dtype)
    before, patches = jnp.split(x, [x.shape[1] - places.shape[1]], axis=1)
    first, second = jnp.split(patches, 2, axis=-1)
    turned = jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
    return jnp.concatenate([before, turned], axis=1)
