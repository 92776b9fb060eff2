"""Domain-adversarial training (Ganin et al. 2016): features from which no classifier can tell the domains apart.

A domain classifier (ReLU layers of `adaptation.hidden` units and one logit) learns to tell the domains apart. Its
gradient with respect to the features is multiplied by -weight (the gradient reversal layer, section 4.2), so the
network learns to mislead it. The classifier's loss is the mean over the source plus the mean over the target, as in the
paper. With `adaptation.ramp` 10 the weight rises as in section 5.2; the classifier itself always learns at the full
rate, as in the paper. The paper has one hidden layer of 100 units for digits, and two of 1024 for Office.

The classifier is `params["domain"]`. It is saved in checkpoints, but not in model/.
"""

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from tljax.core.options import Option, Rule
from tljax.core.types import Params
from tljax.networks.layers import TORCH_LINEAR

UNITS: Rule = ("whole numbers > 0", lambda xs: all(isinstance(x, int) and x > 0 for x in xs))
USES = "features"
OPTIONS = {
    "hidden": Option((100,), "Units of the domain classifier's hidden layers.", UNITS),
}


def initialize(width: int, config: ConfigDict, *, seed: int) -> Params:
    """The initial domain classifier for features of `width`: {"layer0": {"kernel", "bias"}, ...}, numpy."""
    sizes = (width, *config.hidden, 1)
    keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), 1), len(sizes) - 1)
    return {
        f"layer{i}": {
            "kernel": np.array(TORCH_LINEAR(key, sizes[i : i + 2], np.float32)),
            "bias": np.zeros(sizes[i + 1], np.float32),
        }
        for i, key in enumerate(keys)
    }


def term(
    source: jax.Array, target: jax.Array, params: Params, weight: jax.Array, config: ConfigDict
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """(The classifier's loss in nats, {"domain_accuracy": in [0, 1]}) of features (n, D) and (m, D)."""
    del config
    z_source, z_target = (_logits(params, reverse(x, weight)) for x in (source, target))
    loss = jax.nn.softplus(z_source).mean() + jax.nn.softplus(-z_target).mean()  # source: 0, target: 1
    return loss, {"domain_accuracy": ((z_source < 0).mean() + (z_target > 0).mean()) / 2}


@jax.custom_vjp
def reverse(x: jax.Array, weight: jax.Array) -> jax.Array:
    """`x` itself, whose gradient is multiplied by -`weight`."""
    del weight
    return x


def _forward(x: jax.Array, weight: jax.Array) -> tuple[jax.Array, jax.Array]:
    return x, weight


def _backward(weight: jax.Array, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    return -weight * gradient, jnp.zeros_like(weight)


reverse.defvjp(_forward, _backward)


def _logits(params: Params, x: jax.Array) -> jax.Array:
    """(n, D) -> (n,)."""
    for i in range(len(params)):
        layer = params[f"layer{i}"]
        x = (jax.nn.relu(x) if i else x) @ layer["kernel"] + layer["bias"][None]
    return x[:, 0]
