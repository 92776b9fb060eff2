"""SetFit (Tunstall et al. 2022, arXiv 2209.11055): pairs of labelled examples tune the encoder, then a head learns.

In the first phase the head is frozen, and for two examples i, j of a batch with the vectors u_i, u_j that the head is
given, the loss is that of the authors' package (sentence-transformers' CosineSimilarityLoss)

    (cos(u_i, u_j) - y_ij)^2,    y_ij = 1 in one class, 0 otherwise.

The paper draws as many pairs of one class as of two. Here every pair of the batch counts, and the mean over those of
one class and the mean over the others have the same weight: the same objective in expectation, and a batch of B texts
gives B (B - 1) / 2 pairs for B passes through the encoder. In the second phase the encoder is frozen, and the head
learns by cross-entropy (in the paper scikit-learn's logistic regression).

The paper: 2e-5 for the encoder, one epoch over 20 pairs of each kind for every text, batches of 16. Here an encoder
learns at `encoder_scale` times the head's rate, and the run is as long as config.train says: with 8 texts a class set
config.train.min_steps to 100 or so. A batch should hold texts of all classes, 16 or more. With
config.optimizer.accumulate, pairs are formed within a micro-batch. Pictures may use it as well as texts.
"""

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from tljax.core import layer_groups
from tljax.core.errors import ConfigError
from tljax.core.layer_groups import Groups
from tljax.core.options import POSITIVE, Option, Rule
from tljax.core.types import Phase
from tljax.transfer.strategy import Forward

PRETRAINED = True
PAIRS, HEAD = "pairs", "head"  # the phases
INSIDE: Rule = ("in (0, 1)", lambda x: 0 < x < 1)
OPTIONS = {
    "pairs_share": Option(0.5, "Share of the run in which pairs tune the encoder; then the head learns.", INSIDE),
    "encoder_scale": Option(0.01, "The encoder's scale in the first phase; the head's is 1 in the second.", POSITIVE),
}
LEAST = 1e-12  # a shorter vector has no direction


def plan(groups: Groups, config: ConfigDict) -> tuple[Phase, ...]:
    """The backbone by pairs for `config.pairs_share` of the run, then the head alone.

    Raises:
      ConfigError: the head has no group of its own.
    """
    head = layer_groups.head(groups)
    pairs = {group: config.encoder_scale * (group != head) for group in groups}
    return (
        Phase(PAIRS, config.pairs_share, pairs),
        Phase(HEAD, 1.0, {group: float(group == head) for group in groups}),
    )


def loss(forward: Forward, config: ConfigDict) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The loss of pairs in the first phase, the task's own in the second."""
    del config
    if forward.phase != PAIRS:
        return forward.task_loss, {}
    value = of_pairs(forward.whole(forward.features.astype(jnp.float32)), forward.whole(forward.batch["label"]))
    return value, {"pairs": value}


def of_pairs(vectors: jax.Array, labels: jax.Array) -> jax.Array:
    """The mean squared error of the cosines of all pairs, those of one class and the others with equal weight, ().

    Args:
      vectors: (B, D).
      labels: (B,).

    Raises:
      ConfigError: there is no pair.
    """
    if len(vectors) < 2:
        raise ConfigError(
            f"setfit needs 2 examples or more in a batch; got {len(vectors)}. Raise config.train.batch_size, or lower "
            f"config.optimizer.accumulate."
        )
    unit = vectors * jax.lax.rsqrt((vectors**2).sum(axis=-1, keepdims=True) + LEAST)
    alike = labels[:, None] == labels[None]  # (B, B)
    errors = (unit @ unit.T - alike) ** 2
    pair = jnp.triu(jnp.ones_like(alike), k=1)
    kinds = (pair & alike, pair & ~alike)
    means = [(errors * kind).sum() / jnp.maximum(kind.sum(), 1) for kind in kinds]
    return (means[0] + means[1]) / 2
