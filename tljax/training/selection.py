"""Choose the epoch to keep: the best on the validation part, or, without labels, that with the lowest entropy.

`train.select` is one of:
  validation   the best of `train.best`, a metric, on the validation part; without one, the last step is kept
  entropy      the lowest mean entropy of the predictions on the unlabelled part, as in Morerio et al. 2018. It
               prefers a network that is sure, even if it is wrong.
Labels of the targets are not used; `train.oracle` reports the epoch that they would choose.
"""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from ml_collections import ConfigDict

from tljax.core import near_names
from tljax.core.errors import ConfigError
from tljax.core.types import EVALUATE, Batch, Prepare, Totals, Variables
from tljax.data.batches import Evaluation
from tljax.data.parts.domains import UNLABELLED
from tljax.networks.network import Network
from tljax.reporting.terminal import Screen
from tljax.tasks import Chooses, HasEntropy, Task
from tljax.training.evaluate import Evaluator
from tljax.training.parallel import Parallel


@dataclasses.dataclass(frozen=True)
class Selection:
    """A part and the metric on it that chooses the epoch."""

    part: str
    evaluation: Evaluation
    evaluator: Evaluator
    summarize: Callable[[Totals], dict[str, float]]
    metric: str
    sign: int  # -1: lower is better

    def __call__(self, variables: Variables) -> tuple[dict[str, float], float]:
        """(metrics for the log, the score of an epoch: larger is better)."""
        values = self.summarize(self.evaluator(variables, self.evaluation))
        return values, self.sign * values[self.metric]


def make(
    parts: Mapping[str, Evaluation],
    evaluator: Evaluator,
    network: Network,
    task: Task,
    classes: int,
    prepare: Prepare,
    devices: Parallel,
    screen: Screen,
    config: ConfigDict,
) -> Selection | None:
    """The selection by `train.select`; None if there is no part to select by.

    Args:
      parts: all parts, the unlabelled one too.
      evaluator: for labelled parts.

    Raises:
      ConfigError: the task has no such metric, or its predictions no entropy.
    """
    if config.train.select == "validation":
        examples = parts.get("validation")
        metric, sign = chosen_by(config.train.best, task, classes)
        return examples and Selection("validation", examples, evaluator, task.summarize, metric, sign)
    if not isinstance(task, HasEntropy):
        raise ConfigError(
            f"config.train.select=entropy needs a task whose predictions have an entropy (classification); those of "
            f"config.task.name={config.task.name} have none. Set it to validation."
        )
    step = make_entropy_step(network, task, prepare, axis=devices.axis)
    surest = Evaluator(step, devices, partial(screen.compiling, "entropy"))
    return Selection(UNLABELLED, parts[UNLABELLED], surest, mean_entropy, "entropy", -1)


def chosen_by(choice: str, task: Task, classes: int) -> tuple[str, int]:
    """The metric that `train.best` names ("": the task's own), and 1, or -1 if smaller is better.

    Raises:
      ConfigError: the task has no such metric for this number of classes.
    """
    own = task.BEST_METRIC
    known = task.choices(classes) if isinstance(task, Chooses) else {own: 1}
    metric = choice or own
    if metric not in known:
        raise ConfigError(
            f"config.train.best must be a metric of the task for {classes} classes: {', '.join(sorted(known))}; got "
            f"'{metric}'.{near_names.did_you_mean(metric, known)}"
        )
    return metric, known[metric]


def make_entropy_step(
    network: Network, task: HasEntropy, prepare: Prepare, *, axis: str | None = None
) -> Callable[[Variables, Batch], tuple[dict[str, jax.Array], dict[str, jax.Array]]]:
    """`(variables, batch) -> (sums, {})`, as `train_step.make_eval_step`; labels are not used."""

    def step(variables: Variables, batch: Batch) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
        batch = prepare(batch, jax.random.key(0), False)
        logits = network.apply(variables, batch["inputs"], EVALUATE)
        mask = batch["mask"]
        sums = {"entropy": (task.entropy(logits) * mask).sum(), "examples": mask.astype(jnp.int32).sum()}
        return (lax.psum(sums, axis) if axis else sums), {}

    return step


def mean_entropy(totals: Totals) -> dict[str, float]:
    """Sums of the part -> {"entropy": nats, "examples"}."""
    return {"entropy": float(totals["entropy"]) / int(totals["examples"]), "examples": int(totals["examples"])}
