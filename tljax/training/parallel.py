"""Run a step on all devices, by `jit` over a mesh or by `pmap`. Only this file knows which."""

import contextlib
import functools
from collections.abc import Callable
from typing import Protocol

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from tljax.core.errors import ConfigError
from tljax.core.processes import agreement
from tljax.core.processes.agreement import Share
from tljax.core.types import Batch, Tree
from tljax.networks import ops

AXIS = "data"
Say = Callable[[], contextlib.AbstractContextManager[None]]

# On a CPU, XLA gives convolutions to YNNPACK, which computes those of many shapes on one core: 3x3 on
# (64, 16, 16, 64) takes 12.4 ms there and 8.1 in Eigen on 2 cores. YNNPACK still computes matrix products and sums.
# bench/train_step.py, with and without --as-xla-chooses, measures the difference.
YNN = ("INDIVIDUAL_DOT", "REDUCE")
CPU_OPTIONS: dict[str, str | bool] = {
    "xla_cpu_experimental_ynn_fusion_type": ",".join(f"LIBRARY_FUSION_TYPE_{kind}" for kind in YNN)
}


@functools.cache
def compiler_options() -> dict[str, str | bool]:
    """Options for XLA; {} on an accelerator, and for an XLA without this option."""
    if not ops.on_cpu():
        return {}
    try:
        jax.jit(lambda x: x).lower(0.0).compile(compiler_options=CPU_OPTIONS)
    except jax.errors.JaxRuntimeError:
        return {}
    return dict(CPU_OPTIONS)


class Parallel(Protocol):
    """How steps are divided over devices. `axis` is the name for collectives; None under jit."""

    axis: str | None
    devices: int  # of all processes
    share: Share  # which rows of a batch this process puts on its devices

    def put_state(self, state: Tree) -> Tree: ...
    def get_state(self, state: Tree) -> Tree: ...
    def put_batch(self, batch: Batch) -> Batch: ...
    def compile(self, step: Callable[..., Tree], state: Tree, batch: Batch, *, donate: bool) -> Tree: ...
    def each(self, function: Callable[[Tree], Tree]) -> Callable[[Tree], Tree]: ...
    def get(self, metrics: Tree) -> Tree: ...


class Jit:
    """Data parallel over a mesh: batches are sharded, the state is replicated, XLA adds the sums."""

    axis: str | None = None

    def __init__(self, *, alone: bool = False) -> None:
        """`alone`: on the devices of this process, where the run has several."""
        all_of_it = jax.local_devices() if alone else jax.devices()
        self.devices, self.share = len(all_of_it), Share() if alone else agreement.share()
        # A process's devices lie side by side, as its rows of a batch do. Explicit axes, the default of make_mesh, are
        # such that plain code does not trace.
        devices = sorted(all_of_it, key=lambda device: (device.process_index, device.id))
        mesh = jax.make_mesh((self.devices,), (AXIS,), axis_types=(AxisType.Auto,), devices=devices)
        self._replicated = NamedSharding(mesh, PartitionSpec())
        self._sharded = NamedSharding(mesh, PartitionSpec(AXIS))

    def put_state(self, state: Tree) -> Tree:
        """Copy a state to every device; the source stays usable (device_put may alias it: np.array copies)."""
        copy = jax.tree.map(np.array, state)
        return self._put(copy, self._replicated)

    def get_state(self, state: Tree) -> Tree:
        return jax.tree.map(np.asarray, state)

    def put_batch(self, batch: Batch) -> Batch:
        return self._put(batch, self._sharded)

    def _put(self, tree: Tree, sharding: NamedSharding) -> Tree:
        """What this process has, as its part of arrays that all processes hold together."""
        if self.share.count == 1:
            return jax.device_put(tree, sharding)
        return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x)), tree)

    def compile(self, step: Callable[..., Tree], state: Tree, batch: Batch, *, donate: bool) -> Tree:
        """Compile `step(state, batch)` for these shapes; its outputs are replicated."""
        jitted = jax.jit(
            step,
            in_shardings=(self._replicated, self._sharded),
            out_shardings=self._replicated,
            donate_argnums=(0,) if donate else (),
        )
        return jitted.lower(state, batch).compile(compiler_options=compiler_options())

    def each(self, function: Callable[[Tree], Tree]) -> Callable[[Tree], Tree]:
        """`function` of a state, for states on the devices; its result is on the devices too."""
        return jax.jit(function, out_shardings=self._replicated)

    def get(self, metrics: Tree) -> Tree:
        return jax.device_get(metrics)


class Pmap:
    """Data parallel by `pmap`: a leading axis of devices on everything, sums over the axis "data"."""

    axis: str | None = AXIS

    share = Share()

    def __init__(self) -> None:
        if agreement.count() > 1:
            raise ConfigError(
                f"config.parallel=pmap computes in one process, and this run has {agreement.count()}. Set it to jit."
            )
        self.devices = jax.local_device_count()
        mesh = jax.make_mesh((self.devices,), (AXIS,), axis_types=(AxisType.Auto,))
        self._by_device = NamedSharding(mesh, PartitionSpec(AXIS))

    def put_state(self, state: Tree) -> Tree:
        copies = jax.tree.map(lambda x: np.broadcast_to(x, (self.devices, *np.shape(x))), state)
        return jax.device_put(copies, self._by_device)

    def get_state(self, state: Tree) -> Tree:
        return jax.tree.map(_first, state)

    def put_batch(self, batch: Batch) -> Batch:
        split = jax.tree.map(lambda x: x.reshape(self.devices, -1, *x.shape[1:]), batch)
        return jax.device_put(split, self._by_device)

    def compile(self, step: Callable[..., Tree], state: Tree, batch: Batch, *, donate: bool) -> Tree:
        mapped = jax.pmap(step, axis_name=AXIS, donate_argnums=(0,) if donate else ())
        return mapped.lower(state, batch).compile(compiler_options=compiler_options())

    def each(self, function: Callable[[Tree], Tree]) -> Callable[[Tree], Tree]:
        return jax.pmap(function, axis_name=AXIS)

    def get(self, metrics: Tree) -> Tree:
        return jax.tree.map(_first, metrics)


def step_bytes(compiled: Tree) -> int:
    """Bytes on each device that XLA plans for a compiled step: inputs, outputs and temporary arrays."""
    plan = compiled.memory_analysis()
    inout = plan.argument_size_in_bytes + plan.output_size_in_bytes - plan.alias_size_in_bytes
    return inout + plan.temp_size_in_bytes


def _first(x: jax.Array) -> np.ndarray:
    """The copy on the first device, without a computation."""
    return np.asarray(x.addressable_shards[0].data)[0]


class Program:
    """A step, compiled once for every shape of batch."""

    def __init__(self, step: Callable[..., Tree], devices: Parallel, say: Say = contextlib.nullcontext) -> None:
        """`say()` is entered while XLA compiles."""
        self._step, self._devices, self._say = step, devices, say
        self._compiled: dict[tuple[tuple[str, tuple[int, ...]], ...], Callable[..., Tree]] = {}
        self.bytes = 0  # memory of the largest compiled program, see `step_bytes`

    def compiled(self, state: Tree, batch: Batch, *, donate: bool = False) -> Callable[..., Tree]:
        """The program for this batch; `state` must always have the same shapes."""
        shape = tuple((name, x.shape) for name, x in sorted(batch.items()))
        if shape not in self._compiled:
            with self._say():
                self._compiled[shape] = self._devices.compile(self._step, state, batch, donate=donate)
            self.bytes = max(self.bytes, step_bytes(self._compiled[shape]))
        return self._compiled[shape]


def own(devices: Parallel) -> Parallel:
    """What this process computes with where the others do not join in; with one process it is the same."""
    return devices if devices.share.count == 1 else alone()


def alone() -> Parallel:
    """The devices of this process, whether or not the run has others."""
    return Jit(alone=True)


MODES = {"jit": Jit, "pmap": Pmap}


def make(name: str) -> Parallel:
    """The mode called `name`.

    Raises:
      ConfigError: there is none of that name.
    """
    if name not in MODES:
        raise ConfigError(f"config.parallel must be one of {', '.join(MODES)}; got '{name}'.")
    return MODES[name]()
