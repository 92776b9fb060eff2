"""Minimum class confusion (Jin et al. 2020, ECCV): predictions on the target that do not mix classes up.

With target logits Z (B, K), P = softmax(Z / T), H(p) the entropy of a row in nats:

    w_i = B (1 + exp(-H(p_i))) / sum over j of (1 + exp(-H(p_j)))      sure predictions count more
    C = P' diag(w) P, each row divided by its sum                       (K, K)
    MCC = the sum of C off its diagonal / K

Equations 2 to 6 there. w carries no gradient, as in the authors' code. T is `adaptation.temperature`, the paper's 2.5.
Only the target is read: the source's loss is the task's.
"""

import jax
import jax.numpy as jnp
from jax import lax
from ml_collections import ConfigDict

from tljax.core.options import POSITIVE, Option
from tljax.core.types import Params

USES = "logits"
OPTIONS = {
    "temperature": Option(2.5, "Target logits are divided by it before the softmax.", POSITIVE),
}


def term(
    source: jax.Array, target: jax.Array, params: Params, weight: jax.Array, config: ConfigDict
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """(`weight` x MCC, {"class_confusion": MCC}) of logits; those of the source are not used."""
    del source, params
    confusion = mcc(target, temperature=config.temperature)
    return weight * confusion, {"class_confusion": confusion}


def mcc(logits: jax.Array, *, temperature: float) -> jax.Array:
    """MCC of logits (B, K): (), in [0, 1 - 1 / K]."""
    scaled = jax.nn.log_softmax(logits / temperature, axis=-1)
    shares = jnp.exp(scaled)
    sureness = 1 + jnp.exp((shares * scaled).sum(axis=-1, keepdims=True))  # (B, 1): 1 + exp(-H)
    weights = lax.stop_gradient(len(logits) * sureness / sureness.sum())
    confusion = (weights * shares).T @ shares  # (K, K)
    confusion = confusion / confusion.sum(axis=1, keepdims=True)
    return (confusion.sum() - jnp.trace(confusion)) / logits.shape[1]
