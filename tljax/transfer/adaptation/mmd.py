"""Maximum mean discrepancy under several Gaussian kernels (Gretton et al. 2012; Long et al. 2015, DAN).

    MMD^2 = E k(x, x') + E k(y, y') - 2 E k(x, y),    k(x, y) = mean over u of exp(-||x - y||^2 / (2 u sigma^2))

`adaptation.estimator` is one of Gretton et al. 2012, section 2.2:
  unbiased   MMD_u^2 (Lemma 6): x and x' are different examples; it may be below 0
  biased     MMD_b^2: over all pairs, also an example with itself; never below 0

sigma is `adaptation.bandwidth`; 0 means the median distance between all examples of both domains in the batch (their
section 8), without a gradient. `adaptation.widths` are the u: five, each twice the one before, as in the code that
DAN's authors published later. DAN itself learns the kernels' weights and uses an estimate that is linear in the batch;
here all kernels have the same weight, and every pair of the batch is used.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from ml_collections import ConfigDict

from tljax.core.options import NOT_NEGATIVE, Option, Rule, one_of
from tljax.core.types import Params

WIDTHS: Rule = ("numbers > 0, at least one", lambda xs: len(xs) > 0 and all(x > 0 for x in xs))
USES = "features"
OPTIONS = {
    "estimator": Option("unbiased", "unbiased or biased.", one_of("unbiased", "biased")),
    "bandwidth": Option(0.0, "Sigma of a kernel of width 1; 0: the median distance in the batch.", NOT_NEGATIVE),
    "widths": Option((0.25, 0.5, 1.0, 2.0, 4.0), "One for each kernel: factors on the square of sigma.", WIDTHS),
}


def term(
    source: jax.Array, target: jax.Array, params: Params, weight: jax.Array, config: ConfigDict
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """(`weight` x MMD^2, {"mmd": MMD^2}) of features (n, D) and (m, D)."""
    del params
    biased, sigma = config.estimator == "biased", config.bandwidth
    distance = mmd(source, target, widths=config.widths, biased=biased, sigma=sigma)
    return weight * distance, {"mmd": distance}


def mmd(source: jax.Array, target: jax.Array, *, widths: Sequence[float], biased: bool, sigma: float) -> jax.Array:
    """MMD^2 of (n, D) and (m, D), n and m at least 2: ().

    Args:
      widths: the u of the kernels.
      sigma: in units of the features; 0: the median distance.
    """
    n = len(source)
    both = jnp.concatenate([source, target])
    squares = _squared_distances(both)
    variance = sigma**2 if sigma else _median(squares)
    kernel: jax.Array | Any = sum(jnp.exp(-squares / (2 * u * variance)) for u in widths) / len(widths)
    between = kernel[:n, n:].mean()
    return _within(kernel[:n, :n], biased) + _within(kernel[n:, n:], biased) - 2 * between


def _squared_distances(x: jax.Array) -> jax.Array:
    """(n, D) -> (n, n), from matrix products, without an array (n, n, D); centred first, against cancellation."""
    x = x - lax.stop_gradient(x.mean(axis=0, keepdims=True))
    norms = (x**2).sum(axis=1)
    squares = norms[:, None] + norms[None] - 2 * x @ x.T
    return jnp.where(np.eye(len(x), dtype=bool), 0.0, jnp.maximum(squares, 0.0))


def _median(squares: jax.Array) -> jax.Array:
    """The squared median distance between different examples; 1 if most are equal."""
    rows, columns = np.triu_indices(len(squares), 1)
    median = jnp.median(jnp.sqrt(lax.stop_gradient(squares)[rows, columns])) ** 2
    return jnp.where(median > 0, median, 1.0)


def _within(kernel: jax.Array, biased: bool) -> jax.Array:
    """The mean of k(x, x') over one domain, (n, n) -> ()."""
    n = len(kernel)
    return kernel.mean() if biased else (kernel.sum() - jnp.trace(kernel)) / (n * (n - 1))
