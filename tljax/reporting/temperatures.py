"""Temperature scaling: logits are divided by one number, so that probabilities are calibrated."""

import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

BOUNDS = (1 / 20, 20.0)


def fit(losses: Callable[[np.ndarray], np.ndarray], logits: np.ndarray) -> float:
    """The temperature whose scaled logits have the smallest sum of losses (Guo et al. 2017).

    Its logarithm has a normal prior with standard deviation 1: without it, a few examples that are all right would
    give a temperature of 0.

    Args:
      losses: logits, divided by a temperature, to negative log likelihoods in nats.
      logits: (N, K) float64.
    """
    from scipy.optimize import minimize_scalar

    def cost(log_temperature: float) -> float:
        return float(losses(logits / math.exp(log_temperature)).sum()) + log_temperature**2 / 2

    bounds = (math.log(BOUNDS[0]), math.log(BOUNDS[1]))
    best: Any = minimize_scalar(cost, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return math.exp(float(best.x))


def scaled(logits: Any, temperature: float) -> Any:
    """Logits (an array or a tree) divided by a temperature; unchanged if it is 1."""
    if temperature == 1:
        return logits
    return jax.tree.map(lambda x: np.asarray(x, np.float64) / temperature, logits)
