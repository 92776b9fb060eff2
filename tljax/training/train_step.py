"""The training step and the evaluation step: pure functions of (state, batch), the same under jit and pmap."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import optax
from jax import lax
from ml_collections import ConfigDict

from tljax.core.types import EVALUATE, Batch, Mode, Params, Prepare, Tree, Variables
from tljax.data import mixing
from tljax.networks.network import Network
from tljax.tasks import Task
from tljax.training import norm_statistics, optimizer
from tljax.training.accumulation import accumulated
from tljax.training.optimizer import Labels
from tljax.training.train_state import TrainState
from tljax.transfer.alignment import NONE, Alignment
from tljax.transfer.method import PLAIN, Method
from tljax.transfer.strategy import Forward

Metrics = dict[str, jax.Array]
Step = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]
TaskTotals = dict[str, jax.Array]  # what a task's `totals` returns
PerExample = dict[str, jax.Array]  # what its `per_example` returns


class StepKeys(NamedTuple):
    """The number of a step in the run, and its random keys."""

    step: jax.Array  # () int32, updates before this step
    inputs: jax.Array  # augmentation, mixing
    network: jax.Array  # dropout
    params: jax.Array  # random numbers of a strategy

    @classmethod
    def of(cls, state: TrainState, axis: str | None) -> "StepKeys":
        key = jax.random.fold_in(jax.random.wrap_key_data(state.rng), state.step)
        inputs, network, params = jax.random.split(key, 3)
        if axis:  # dropout masks must differ between devices, as they do between examples
            network = jax.random.fold_in(network, lax.axis_index(axis))
        return cls(state.step, inputs, network, params)

    def of_part(self, number: jax.Array | None) -> "StepKeys":
        """The keys of a micro-batch, which has its own dropout masks; None: that of the whole batch."""
        return self if number is None else self._replace(network=jax.random.fold_in(self.network, number))


@dataclasses.dataclass(frozen=True)
class Objective:
    """The objective of one phase: the task's loss plus the terms of the strategy and the adaptation."""

    network: Network
    task: Task
    prepare: Prepare
    mode: Mode  # which modules run on stored statistics
    task_config: ConfigDict  # config.task, for the task's loss
    axis: str | None = None  # of pmap; None under jit, where the batch is global
    method: Method = PLAIN  # the strategy, which may change the parameters before the network gets them
    alignment: Alignment = NONE  # the adaptation to a second, unlabelled domain
    steps: int = 1  # number of updates in the whole run
    phase: str = ""  # its name, for a strategy whose loss depends on it

    def prepared(self, batch: Batch, keys: StepKeys) -> Batch:
        """A training batch with "inputs", the network's input; mixed, if mixup or CutMix is on (`mixing`)."""
        batch = self.prepare(self.alignment.inputs(batch), keys.inputs, True)
        return mixing.mix(batch, keys.inputs, self.task_config)

    def loss(
        self, params: Params, model_state: Variables, batch: Batch, keys: StepKeys
    ) -> tuple[jax.Array, tuple[Tree, Metrics]]:
        """The loss of a `prepared` batch, (); and (new model_state, metrics for the log)."""
        with norm_statistics.enough_values():
            outputs, new_state = self.network.apply(
                {"params": self.method.effective(params, keys.params), **model_state},
                batch["inputs"],
                self.mode,
                mutable=list(model_state),
                rngs={"dropout": keys.network},
                method="with_features" if self.method.losses else self.alignment.method,
            )
        # A strategy with a loss of its own is not aligned (`runs.experiment`), and needs the head's input.
        features, outputs = outputs if self.method.losses else (None, outputs)
        logits, terms, logged = self.alignment(outputs, params, keys.step / self.steps, self.axis)
        terms |= self.method.penalty(params)
        loss = self.task.loss(logits, batch, self.task_config)
        if features is not None:
            loss, more = self.method.loss(Forward(features, logits, batch, loss, self.phase, self.axis))
            logged |= more
        loss = sum(terms.values(), loss)
        return loss, (new_state, {"loss": loss, **terms, **logged, **self.task.metrics(logits, batch)})

    def gradients(
        self, learns: Params, rest: Params, model_state: Variables, batch: Batch, keys: StepKeys
    ) -> tuple[Params, Variables, Metrics]:
        """(gradients, model_state, metrics) of a batch; gradients with respect to learning parameters only.

        So XLA never builds the backward pass of frozen stages before them.
        """
        batch = self.prepared(batch, keys)

        def loss(learns: Params) -> tuple[jax.Array, tuple[Tree, Metrics]]:
            return self.loss(optimizer.merge(learns, rest), model_state, batch, keys)

        (_, (new_state, metrics)), grads = jax.value_and_grad(loss, has_aux=True)(learns)
        return grads, new_state, metrics


def make_train_step(
    objective: Objective,
    tx: optax.GradientTransformation,
    labels: Labels,
    *,
    clip: float = 0.0,
    accumulate: int = 1,
) -> Step:
    """The training step of one phase; frozen parameters never reach the optimizer.

    Args:
      labels: group name at every learning leaf (`optimizer.labels`).
      clip: the largest global norm of the gradients; 0: no clipping.
      accumulate: number of micro-batches, one after another, that the batch is split into (`accumulation`).
    """
    with_loss = optax.with_extra_args_support(tx)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        keys = StepKeys.of(state, objective.axis)
        learns, rest = optimizer.split(state.params, labels)

        def gradients(
            model_state: Variables, part: Batch, number: jax.Array | None
        ) -> tuple[Params, Variables, Metrics]:
            return objective.gradients(learns, rest, model_state, part, keys.of_part(number))

        grads, model_state, metrics = accumulated(gradients, state.model_state, batch, accumulate)
        if objective.axis:
            grads, metrics = lax.pmean((grads, metrics), objective.axis)
        grads, metrics["grad_norm"] = optimizer.clip(grads, clip)
        # Some optimizers need the loss for their step; the others do not get it.
        updates, opt_state = with_loss.update(grads, state.opt_state, learns, value=metrics["loss"])
        moved: Tree = optax.apply_updates(learns, updates)
        params = optimizer.merge(moved, rest)
        new = state.replace(step=state.step + 1, params=params, model_state=model_state, opt_state=opt_state)
        return new, metrics

    return step


def make_eval_step(
    network: Network, task: Task, prepare: Prepare, *, axis: str | None = None
) -> Callable[[Variables, Batch], tuple[TaskTotals, PerExample]]:
    """`(variables, batch) -> (totals, per_example)`: sums where `mask` is True, and values (B,) of every example."""

    def step(variables: Variables, batch: Batch) -> tuple[TaskTotals, PerExample]:
        batch = prepare(batch, jax.random.key(0), False)
        logits = network.apply(variables, batch["inputs"], EVALUATE)
        totals, values = task.totals(logits, batch), task.per_example(logits, batch)
        return (lax.psum(totals, axis), lax.all_gather(values, axis, tiled=True)) if axis else (totals, values)

    return step
