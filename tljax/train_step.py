"""One update; one evaluation batch: pure functions of (state, batch), the same under jit and pmap."""

from collections.abc import Callable
from typing import Any

import jax
import optax
from flax import linen as nn
from jax import lax

from tljax import mixing, optimizer
from tljax.accumulation import accumulated
from tljax.alignment import NONE, Alignment
from tljax.method import PLAIN, Method
from tljax.optimizer import Labels
from tljax.preprocess import Prepare
from tljax.train_state import TrainState
from tljax.types import EVALUATE, Batch, Mode, Params, Variables

Step = Callable[[TrainState, Batch], tuple[TrainState, dict[str, jax.Array]]]
Sums = dict[str, jax.Array]  # what a task's `sums` returns
Each = dict[str, jax.Array]  # what its `each` returns


def make_train_step(
    network: nn.Module,
    task: Any,
    prepare: Prepare,
    tx: optax.GradientTransformation,
    labels: Labels,
    *,
    mode: Mode,
    task_config: Any,
    clip: float = 0.0,
    axis: str | None = None,
    method: Method = PLAIN,
    accumulate: int = 1,
    alignment: Alignment = NONE,
    steps: int = 1,
) -> Step:
    """The training step of one phase.

    Gradients are taken with respect to the learning leaves only, so XLA never builds the backward
    pass of what is frozen, and nothing of it reaches the optimizer.

    Args:
      labels: group name at every learning leaf (`optimizer.labels`).
      mode: which modules run on stored statistics.
      task_config: what the task's loss is given.
      axis: the pmap axis to average over; None under jit, where the batch is global.
      method: what the strategy makes of the parameters before the network is given them, and adds to the loss.
      accumulate: micro-batches, one after another, that the batch is split into (`accumulation`).
      alignment: what brings the features of a second, unlabelled domain close (`alignment`).
      steps: updates in the whole run.
    """

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, dict[str, jax.Array]]:
        for_inputs, for_network, for_params = jax.random.split(_key(state), 3)
        if axis:  # masks of dropout differ between devices, as they do between examples
            for_network = jax.random.fold_in(for_network, lax.axis_index(axis))
        learns, rest = optimizer.split(state.params, labels)

        def gradients(
            model_state: Variables, batch: Batch, part: jax.Array
        ) -> tuple[Params, Any, dict[str, jax.Array]]:
            batch = alignment.inputs(batch)
            inputs, batch = mixing.mix(prepare(batch, for_inputs, True), batch, for_inputs, task_config)
            dropout = jax.random.fold_in(for_network, part) if accumulate > 1 else for_network

            def loss_of(learns: Params) -> tuple[jax.Array, tuple[Any, dict[str, jax.Array]]]:
                params = optimizer.merge(learns, rest)
                variables = {"params": method.effective(params, for_params), **model_state}
                made, new_state = network.apply(
                    variables,
                    inputs,
                    mode,
                    mutable=list(model_state),
                    rngs={"dropout": dropout},
                    method=alignment.method,
                )
                logits, terms, logged = alignment(made, params, state.step / steps, axis)
                terms |= method.penalty(params)
                loss = sum(terms.values(), task.loss(logits, batch, task_config))
                return loss, (new_state, {"loss": loss, **terms, **logged, **task.metrics(logits, batch)})

            (_, (new_state, metrics)), grads = jax.value_and_grad(loss_of, has_aux=True)(learns)
            return grads, new_state, metrics

        grads, model_state, metrics = accumulated(gradients, state.model_state, batch, accumulate)
        if axis:
            grads, metrics = lax.pmean((grads, metrics), axis)
        grads, metrics["grad_norm"] = optimizer.clip(grads, clip)
        updates, opt_state = tx.update(grads, state.opt_state, learns)
        moved: Any = optax.apply_updates(learns, updates)
        params = optimizer.merge(moved, rest)
        new = state.replace(step=state.step + 1, params=params, model_state=model_state, opt_state=opt_state)
        return new, metrics

    return step


def make_eval_step(
    network: nn.Module, task: Any, prepare: Prepare, *, axis: str | None = None
) -> Callable[[Variables, Batch], tuple[Sums, Each]]:
    """`(variables, batch) -> (sums, each)`: over the examples whose `mask` is set, and (B,) values, one an example."""

    def step(variables: Variables, batch: Batch) -> tuple[Sums, Each]:
        inputs = prepare(batch, jax.random.key(0), False)
        logits = network.apply(variables, inputs, EVALUATE)
        sums, each = task.sums(logits, batch), task.each(logits, batch)
        return (lax.psum(sums, axis), lax.all_gather(each, axis, tiled=True)) if axis else (sums, each)

    return step


def _key(state: TrainState) -> jax.Array:
    return jax.random.fold_in(jax.random.wrap_key_data(state.rng), state.step)
