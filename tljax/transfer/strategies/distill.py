"""Distillation (Hinton et al. 2015, arXiv 1503.02531): finished runs, larger or several, teach a smaller network.

With p the teacher's and q the student's softmax of logits / T, the loss is (the paper's section 2)

    own (cross-entropy with the labels) + (1 - own) T^2 KL(p || q).

T^2 keeps the size of gradients as T grows. p is the mean over `teachers`. Each teacher is a run or a soup with the
same classes; its network and its picture size may be others. `features` adds the distance of Tung & Mori 2019 (arXiv
1907.09682). Two examples that are similar for the teacher should be similar for the student:

    |G_t - G_s|^2 / B^2,    G: rows of Q Q' divided by their length, Q (B, D) the vectors before the head.

FitNets (Romero et al. 2015) predict the teacher's vectors instead, with a layer that is thrown away afterwards.
Similarities need no such layer, and the two networks may have any widths.

Teachers answer once, before the first step, for every training example as they see it in evaluation. So pictures must
not be augmented: a teacher should see what the student sees (Beyer et al. 2022, arXiv 2106.05237). All groups learn,
the backbone at `backbone_scale`; with config.model.copied_stages=0 the student begins at random. T = 4 and a tenth for
the labels are usual; Hinton et al. have T from 1 to 20, and a low weight of the labels. 3000 is Tung & Mori's weight.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from tljax.core import layer_groups
from tljax.core.layer_groups import Groups
from tljax.core.options import NOT_NEGATIVE, POSITIVE, Option, Rule
from tljax.core.types import Phase, Rows
from tljax.transfer.strategy import Forward

PRETRAINED = True
PART: Rule = ("in [0, 1]", lambda x: 0 <= x <= 1)
FOLDERS: Rule = ("folders of finished runs", lambda xs: all(isinstance(x, str) and x for x in xs))
OPTIONS = {
    "teachers": Option((), "Folders of finished runs or soups, whose mean is the teacher.", FOLDERS),
    "temperature": Option(4.0, "T, of teacher and student in the loss.", POSITIVE),
    "own": Option(0.1, "Weight of the labels; the teacher has the rest.", PART),
    "features": Option(0.0, "Weight of the similarities of features; 3000 in arXiv 1907.09682; 0: none.", NOT_NEGATIVE),
    "backbone_scale": Option(1.0, "Scale of the backbone; the head's is 1.", POSITIVE),
}
LEAST = 1e-12  # a shorter vector has no direction


def teachers(config: ConfigDict) -> tuple[str, ...]:
    """The folders of the runs."""
    return tuple(config.teachers)


def answers(logits: Sequence[np.ndarray], features: Sequence[np.ndarray], config: ConfigDict) -> Rows:
    """The mean of the teachers' probabilities at T, (N, K); their features side by side, if they are asked for."""
    scaled = [np.asarray(rows, np.float64) / config.temperature for rows in logits]
    powers = [np.exp(rows - rows.max(axis=-1, keepdims=True)) for rows in scaled]
    rows = {"teacher": np.mean([one / one.sum(axis=-1, keepdims=True) for one in powers], axis=0).astype(np.float32)}
    if config.features:
        rows["teacher_features"] = np.concatenate([np.asarray(one, np.float32) for one in features], axis=-1)
    return rows


def plan(groups: Groups, config: ConfigDict) -> tuple[Phase, ...]:
    """One phase: the backbone at `config.backbone_scale`, the head at 1."""
    head = layer_groups.head(groups)
    return (Phase("distill", 1.0, {group: 1.0 if group == head else config.backbone_scale for group in groups}),)


def loss(forward: Forward, config: ConfigDict) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The labels' part, the teacher's, and that of the features."""
    teacher = of_logits(forward.logits, forward.batch["teacher"], config.temperature)
    value, logged = config.own * forward.task_loss + (1 - config.own) * teacher, {"teacher": teacher}
    if config.features:
        ours, theirs = (forward.whole(rows) for rows in (forward.features, forward.batch["teacher_features"]))
        logged["similarity"] = of_features(ours, theirs)
        value += config.features * logged["similarity"]
    return value, logged


def of_logits(logits: jax.Array, teacher: jax.Array, temperature: float) -> jax.Array:
    """T^2 KL(p || q), the mean over the batch, ().

    Args:
      logits: the student's, (B, K).
      teacher: probabilities at T, (B, K).
    """
    logs = jax.nn.log_softmax(logits.astype(jnp.float32) / temperature)
    sure = jnp.where(teacher > 0, jnp.log(jnp.maximum(teacher, LEAST)), 0.0)
    return temperature**2 * (teacher * (sure - logs)).sum(axis=-1).mean()


def of_features(ours: jax.Array, theirs: jax.Array) -> jax.Array:
    """|G_t - G_s|^2 / B^2 of the student's features (B, D) and the teacher's (B, E), ()."""
    return ((_alike(ours) - _alike(theirs)) ** 2).sum() / len(ours) ** 2


def _alike(vectors: jax.Array) -> jax.Array:
    """Q Q' with rows of length 1: (B, D) -> (B, B)."""
    rows = vectors.astype(jnp.float32)
    rows = rows @ rows.T
    return rows * jax.lax.rsqrt((rows**2).sum(axis=-1, keepdims=True) + LEAST)
