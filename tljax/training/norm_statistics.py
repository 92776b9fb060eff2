"""BatchNorm statistics for weights that no batch has run through: means of them, measured over the training part.

Izmailov et al. 2018 (SWA), section 3.2: one more pass in training mode, here for a running mean too. Stored are then
the equal means of every batch's statistics, as in torch's `update_bn`, not the decaying ones that training leaves.
"""

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax

from tljax.core import signals
from tljax.core.errors import ConfigError
from tljax.core.trees import flatten, unflatten
from tljax.core.types import Batch, Mode, Prepare, Variables
from tljax.training.parallel import Parallel, Program, Say

Sums = dict[str, Any]  # "variables", "rng" (raw key data), "count" () of batches so far, "means" of their statistics


def measured(
    network: nn.Module, prepare: Prepare, mode: Mode, devices: Parallel, say: Say
) -> Callable[[Variables, Any, Iterator[Batch]], Variables]:
    """(variables on the devices, raw key data there, batches) -> variables with the statistics of these batches.

    Args:
      mode: of training; statistics of what is frozen in it stay as they are stored.
      say: entered while XLA compiles.
    """
    program = Program(make_step(network, prepare, mode, axis=devices.axis), devices, say)

    def run(variables: Variables, rng: Any, batches: Iterator[Batch]) -> Variables:
        begin = devices.each(lambda stats: jax.tree.map(jnp.zeros_like, stats))(variables["batch_stats"])
        state = {"variables": variables, "rng": rng, "count": devices.put_state(jnp.int32(0)), "means": begin}
        for host_batch in batches:
            signals.poll()
            batch = devices.put_batch(host_batch)
            state, _ = program.compiled(state, batch)(state, batch)
        return {**variables, "batch_stats": state["means"]}

    return run


def moving(variables: Variables, mode: Mode) -> set[str]:
    """The paths of the statistics that follow the data in `mode`."""
    return {path for path in flatten(variables.get("batch_stats", {})) if mode.trains(tuple(path.split("/")[:-1]))}


def make_step(
    network: nn.Module, prepare: Prepare, mode: Mode, *, axis: str | None
) -> Callable[[Sums, Batch], tuple[Sums, dict[str, jax.Array]]]:
    """A batch more in the means."""

    def step(state: Sums, batch: Batch) -> tuple[Sums, dict[str, jax.Array]]:
        key = jax.random.fold_in(jax.random.wrap_key_data(state["rng"]), state["count"])
        for_inputs, for_network = jax.random.split(key)
        if axis:
            for_network = jax.random.fold_in(for_network, lax.axis_index(axis))
        stored, awake = flatten(state["variables"]["batch_stats"]), moving(state["variables"], mode)
        # From 0 a stored statistic moves to 1 - momentum of the batch's.
        begin = unflatten({path: jnp.zeros_like(x) if path in awake else x for path, x in stored.items()})
        momenta: dict[str, float] = {}
        with nn.intercept_methods(_noting(momenta)):
            _, new = network.apply(
                {**state["variables"], "batch_stats": begin},
                prepare(batch, for_inputs, True)["inputs"],
                mode,
                mutable=["batch_stats"],
                rngs={"dropout": for_network},
            )
        found = {
            path: x / (1 - momenta[path.rpartition("/")[0]]) if path in awake else stored[path]
            for path, x in flatten(new["batch_stats"]).items()
        }
        means, count = flatten(state["means"]), state["count"] + 1
        means = {path: mean + (found.get(path, stored[path]) - mean) / count for path, mean in means.items()}
        return {**state, "count": count, "means": unflatten(means)}, {}

    return step


@contextlib.contextmanager
def enough_values() -> Iterator[None]:
    """Around the trace of a training step: every BatchNorm that takes the batch's statistics must have a batch.

    Normalised over one value a channel, that value is 0 whatever the input: nothing behind it depends on the input.

    Raises:
      ConfigError: one has a single value; all such are named.
    """
    alone: dict[str, tuple[int, ...]] = {}
    with nn.intercept_methods(partial(_count_values, alone)):
        yield
    if alone:
        shown = ", ".join(list(alone)[:5]) + (f" and {len(alone) - 5} more" if len(alone) > 5 else "")
        raise ConfigError(
            f"BatchNorm must see more than one value a channel in training, or its output is the same for every input; "
            f"{shown} would see one: a (micro-)batch of {next(iter(alone.values()))} (examples, height, width, "
            f"channels). Raise config.train.batch_size, lower config.optimizer.accumulate, give larger inputs "
            f"(config.data.size), or freeze those groups: frozen ones run on stored statistics."
        )


def _count_values(
    alone: dict[str, tuple[int, ...]], method: Callable[..., Any], args: Any, kwargs: Any, context: Any
) -> Any:
    """Note under its path a BatchNorm whose own mean and variance are of one value."""
    module = context.module
    if isinstance(module, nn.BatchNorm) and context.method_name == "__call__":
        x, given = args[0], kwargs.get("use_running_average", module.use_running_average)
        devices = lax.psum(1, module.axis_name) if module.axis_name and not module.is_initializing() else 1
        if given is False and int(np.prod(x.shape[:-1])) * devices == 1:
            alone["/".join(module.path)] = x.shape
    return method(*args, **kwargs)


def _noting(momenta: dict[str, float]) -> Callable[..., Any]:
    """Put the momentum of every BatchNorm that runs under its path."""

    def note(method: Callable[..., Any], args: Any, kwargs: Any, context: Any) -> Any:
        if isinstance(context.module, nn.BatchNorm):
            momenta["/".join(context.module.path)] = context.module.momentum
        return method(*args, **kwargs)

    return note
