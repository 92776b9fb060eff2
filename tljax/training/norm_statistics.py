"""BatchNorm statistics for averaged weights, which training never ran: measured over the training part.

Izmailov et al. 2018 (SWA), section 3.2: one more pass in training mode; here also for a running mean. The stored
statistics become the equal means of the batches' statistics, as in torch's `update_bn`; training has decaying means.
"""

import contextlib
from collections.abc import Callable, Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax

from tljax.core import signals
from tljax.core.errors import ConfigError
from tljax.core.trees import flatten, unflatten
from tljax.core.types import Batch, Mode, Prepare, Record, Tree, Variables
from tljax.training.parallel import Parallel, Program, Say

Sums = dict[str, Tree]  # "variables", "rng" (raw key data), "count" () batches so far, "means" of their statistics


def measured(
    network: nn.Module, prepare: Prepare, mode: Mode, devices: Parallel, say: Say
) -> Callable[[Variables, Tree, Iterator[Batch]], Variables]:
    """(variables on the devices, raw key data there, batches) -> variables with the statistics of these batches.

    Args:
      mode: the mode of training; statistics of frozen modules do not change.
      say: entered while XLA compiles.
    """
    program = Program(make_step(network, prepare, mode, axis=devices.axis), devices, say)

    def run(variables: Variables, rng: Tree, batches: Iterator[Batch]) -> Variables:
        begin = devices.each(lambda stats: jax.tree.map(jnp.zeros_like, stats))(variables["batch_stats"])
        state = {"variables": variables, "rng": rng, "count": devices.put_state(jnp.int32(0)), "means": begin}
        for host_batch in batches:
            signals.poll()
            batch = devices.put_batch(host_batch)
            state, _ = program.compiled(state, batch)(state, batch)
        return {**variables, "batch_stats": state["means"]}

    return run


def moving(variables: Variables, mode: Mode) -> set[str]:
    """The paths of the statistics that are updated in `mode`."""
    return {path for path in flatten(variables.get("batch_stats", {})) if mode.trains(tuple(path.split("/")[:-1]))}


def make_step(
    network: nn.Module, prepare: Prepare, mode: Mode, *, axis: str | None
) -> Callable[[Sums, Batch], tuple[Sums, dict[str, jax.Array]]]:
    """A step that adds a batch to the means."""

    def step(state: Sums, batch: Batch) -> tuple[Sums, dict[str, jax.Array]]:
        key = jax.random.fold_in(jax.random.wrap_key_data(state["rng"]), state["count"])
        for_inputs, for_network = jax.random.split(key)
        if axis:
            for_network = jax.random.fold_in(for_network, lax.axis_index(axis))
        stored, awake = flatten(state["variables"]["batch_stats"]), moving(state["variables"], mode)
        # Starting from 0, a stored statistic becomes (1 - momentum) times the batch's.
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
        statistics = {
            path: x / (1 - momenta[path.rpartition("/")[0]]) if path in awake else stored[path]
            for path, x in flatten(new["batch_stats"]).items()
        }
        means, count = flatten(state["means"]), state["count"] + 1
        means = {path: mean + (statistics.get(path, stored[path]) - mean) / count for path, mean in means.items()}
        return {**state, "count": count, "means": unflatten(means)}, {}

    return step


@contextlib.contextmanager
def enough_values() -> Iterator[None]:
    """A context for tracing a training step: each BatchNorm that uses the batch's statistics needs several values.

    Normalised over a single value in each channel, the output is always 0 and does not depend on the input.

    Raises:
      ConfigError: a BatchNorm has a single value; all such are named.
    """
    alone: dict[str, tuple[int, ...]] = {}
    with nn.intercept_methods(partial(_count_values, alone)):
        yield
    if alone:
        shown = ", ".join(list(alone)[:5]) + (f" and {len(alone) - 5} more" if len(alone) > 5 else "")
        raise ConfigError(
            f"BatchNorm needs more than one value in each channel in training, or its output is the same for every "
            f"input; {shown} would get one: a (micro-)batch of {next(iter(alone.values()))} (examples, height, width, "
            f"channels). Raise config.train.batch_size, lower config.optimizer.accumulate, give larger inputs "
            f"(config.data.size), or freeze these groups: frozen ones use stored statistics."
        )


def _count_values(
    alone: dict[str, tuple[int, ...]], method: Callable[..., Tree], args: Tree, kwargs: Record, context: Tree
) -> Tree:
    """Record the path of a BatchNorm that computes its mean and variance from one value."""
    module = context.module
    if isinstance(module, nn.BatchNorm) and context.method_name == "__call__":
        x, uses_stored = args[0], kwargs.get("use_running_average", module.use_running_average)
        devices = lax.psum(1, module.axis_name) if module.axis_name and not module.is_initializing() else 1
        if uses_stored is False and int(np.prod(x.shape[:-1])) * devices == 1:
            alone["/".join(module.path)] = x.shape
    return method(*args, **kwargs)


def _noting(momenta: dict[str, float]) -> Callable[..., Tree]:
    """Record path -> momentum of every BatchNorm that runs."""

    def note(method: Callable[..., Tree], args: Tree, kwargs: Record, context: Tree) -> Tree:
        if isinstance(context.module, nn.BatchNorm):
            momenta["/".join(context.module.path)] = context.module.momentum
        return method(*args, **kwargs)

    return note
