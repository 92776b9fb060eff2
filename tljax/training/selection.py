"""Which epoch is kept: the best on the validation part, or, without any label of the target, the surest about it.

`train.select` is one of:
  validation   the best of `train.best`, a metric, on the validation part; without one, the last step is kept
  entropy      the lowest mean entropy of what is predicted of the unlabelled part, as Morerio et al. 2018
               choose. It trusts a network that is sure, also where it is wrong.
What the labels of the targets would have chosen is no part of this: `train.oracle` reports it.
"""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from ml_collections import ConfigDict

from tljax.core.errors import ConfigError
from tljax.core.options import near
from tljax.core.types import EVALUATE, Batch, Prepare, Variables
from tljax.data.batches import Evaluation
from tljax.data.domains import UNLABELLED
from tljax.reporting.terminal import Screen
from tljax.tasks import Chooses, HasEntropy
from tljax.training.evaluate import Evaluator
from tljax.training.parallel import Parallel


@dataclasses.dataclass(frozen=True)
class Selection:
    """A part and the metric on it that chooses the epoch."""

    part: str
    evaluation: Evaluation
    evaluator: Evaluator
    summarize: Callable[[dict[str, Any]], dict[str, float]]
    metric: str
    sign: int  # -1: the lower the better

    def __call__(self, variables: Variables) -> tuple[dict[str, float], float]:
        """(What is logged, the score of an epoch: the larger the better)."""
        values = self.summarize(self.evaluator(variables, self.evaluation))
        return values, self.sign * values[self.metric]


def make(
    parts: Mapping[str, Evaluation],
    evaluator: Evaluator,
    network: Any,
    task: Any,
    classes: int,
    prepare: Prepare,
    devices: Parallel,
    screen: Screen,
    config: ConfigDict,
) -> Selection | None:
    """What `train.select` asks for; None where there is nothing to select by.

    Args:
      parts: every part as the network sees it, the unlabelled one too.
      evaluator: of labelled parts.

    Raises:
      ConfigError: the task has no such metric, or its predictions no entropy.
    """
    if config.train.select == "validation":
        examples = parts.get("validation")
        metric, sign = chosen_by(config.train.best, task, classes)
        return examples and Selection("validation", examples, evaluator, task.summarize, metric, sign)
    if not isinstance(task, HasEntropy):
        raise ConfigError(
            f"config.train.select=entropy needs a task whose predictions have one (classification); "
            f"config.task.name={config.task.name} has none. Set it to validation."
        )
    step = make_entropy_step(network, task, prepare, axis=devices.axis)
    surest = Evaluator(step, devices, partial(screen.compiling, "entropy"))
    return Selection(UNLABELLED, parts[UNLABELLED], surest, mean_entropy, "entropy", -1)


def chosen_by(wanted: str, task: Any, classes: int) -> tuple[str, int]:
    """The metric that `train.best` names, "" for the task's own, and 1, or -1 where smaller is better.

    Raises:
      ConfigError: the task has no such metric of so many classes.
    """
    own = task.BEST
    known = task.choices(classes) if isinstance(task, Chooses) else {own: 1}
    metric = wanted or own
    if metric not in known:
        raise ConfigError(
            f"config.train.best must be a metric of the task for {classes} classes: {', '.join(sorted(known))}; got "
            f"'{metric}'.{near(metric, known)}"
        )
    return metric, known[metric]


def make_entropy_step(
    network: Any, task: Any, prepare: Prepare, *, axis: str | None = None
) -> Callable[[Variables, Batch], tuple[dict[str, jax.Array], dict[str, jax.Array]]]:
    """`(variables, batch) -> (sums, {})`, as `train_step.make_eval_step`; the batch's labels are not looked at."""

    def step(variables: Variables, batch: Batch) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
        batch = prepare(batch, jax.random.key(0), False)
        logits = network.apply(variables, batch["inputs"], EVALUATE)
        mask = batch["mask"]
        sums = {"entropy": (task.entropy(logits) * mask).sum(), "examples": mask.astype(jnp.int32).sum()}
        return (lax.psum(sums, axis) if axis else sums), {}

    return step


def mean_entropy(totals: dict[str, Any]) -> dict[str, float]:
    """Sums over the part to {"entropy": nats, "examples"}."""
    return {"entropy": float(totals["entropy"]) / int(totals["examples"]), "examples": int(totals["examples"])}
