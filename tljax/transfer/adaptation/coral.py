"""Deep CORAL (Sun & Saenko 2016): align the covariances of the two domains' features.

    CORAL = ||C_S - C_T||_F^2 / (4 D^2),    C = (X - mean)' (X - mean) / (n - 1)

Their equations 1 to 3, with features (n, D). The authors choose the weight so that this term is about as large as the
task's loss at the end of training (section 4); the right weight depends on the scale of the features.
"""

import jax
from ml_collections import ConfigDict

from tljax.core.types import Params

USES = "features"


def term(
    source: jax.Array, target: jax.Array, params: Params, weight: jax.Array, config: ConfigDict
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """(`weight` x CORAL, {"coral": CORAL}) of features (n, D) and (m, D)."""
    del params, config
    distance = coral(source, target)
    return weight * distance, {"coral": distance}


def coral(source: jax.Array, target: jax.Array) -> jax.Array:
    """CORAL of features (n, D) and (m, D), n and m at least 2: ()."""
    difference = _covariance(source) - _covariance(target)
    return (difference**2).sum() / (4 * source.shape[1] ** 2)


def _covariance(x: jax.Array) -> jax.Array:
    """(n, D) -> (D, D), divided by n - 1."""
    x = x - x.mean(axis=0, keepdims=True)
    return x.T @ x / (len(x) - 1)
