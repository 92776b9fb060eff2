"""Run a step on all devices, by `jit` over a mesh or by `pmap`. Only this file knows which."""

import contextlib
import functools
from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from ml_collections import ConfigDict

from tljax.core.errors import ConfigError
from tljax.core.processes import agreement
from tljax.core.processes.agreement import Share
from tljax.core.types import Batch, Tree
from tljax.networks import ops
from tljax.training import sharding
from tljax.training.devices import memory
from tljax.training.sharding import Layout

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
    layout: Layout | None  # where the parts of a state lie; None: all of it on every device

    def put_state(self, state: Tree) -> Tree: ...
    def get_state(self, state: Tree) -> Tree: ...
    def to_save(self, state: Tree) -> Tree: ...
    def compute(self, function: Callable[[Tree], Tree], tree: Tree) -> Tree: ...
    def put_batch(self, batch: Batch) -> Batch: ...
    def compile(self, step: Callable[..., Tree], state: Tree, batch: Batch, *, donate: bool) -> Tree: ...
    def each(self, function: Callable[[Tree], Tree]) -> Callable[[Tree], Tree]: ...
    def get(self, metrics: Tree) -> Tree: ...


class Jit:
    """Batches are divided over a mesh, and XLA adds the sums. The state is on every device, or divided (`sharding`)."""

    axis: str | None = None

    def __init__(self, *, alone: bool = False, data: int = 0, fsdp: int = 1, rules: sharding.Rules = ()) -> None:
        """`alone`: on the devices of this process, where the run has several. Others: as in config.mesh."""
        all_of_it = jax.local_devices() if alone else jax.devices()
        self.devices, self.share = len(all_of_it), Share() if alone else agreement.share()
        # A process's devices lie side by side, as its rows of a batch do. Explicit axes, the default of make_mesh, are
        # such that plain code does not trace.
        devices = sorted(all_of_it, key=lambda device: (device.process_index, device.id))
        shape, types = sharding.sizes(data, fsdp, self.devices), (AxisType.Auto,) * len(sharding.AXES)
        mesh = jax.make_mesh(shape, sharding.AXES, axis_types=types, devices=devices)
        self.layout = Layout(mesh, rules) if fsdp > 1 else None
        self._replicated = NamedSharding(mesh, PartitionSpec())
        self._sharded = NamedSharding(mesh, PartitionSpec(sharding.AXES))

    def put_state(self, state: Tree) -> Tree:
        """Copy a state to the devices; the source stays usable (device_put may alias it: np.array copies).

        A leaf that lies where it must is not copied.
        """
        if self.layout:
            return jax.tree.map(_divided, state, self.layout.of(state))
        copy = jax.tree.map(np.array, state)
        return self._put(copy, self._replicated)

    def get_state(self, state: Tree) -> Tree:
        """The whole state, on the host."""
        if self.layout and self.share.count > 1:
            return multihost_utils.process_allgather(state, tiled=True)
        return jax.tree.map(np.asarray, state)

    def to_save(self, state: Tree) -> Tree:
        """What checkpoints write: on the host; a divided state where it lies, so that no host holds the whole."""
        return state if self.layout else self.get_state(state)

    def compute(self, function: Callable[[Tree], Tree], tree: Tree) -> Tree:
        """`function` of a tree: a part of a state before its first step, as `to_save` has it."""
        if not self.layout:
            return jax.tree.map(np.array, jax.jit(function)(tree))
        # Copied, since jit gives an input that it returns back as it is, and then two parts of a state are one array.
        copy = jax.jit(
            lambda x: jax.tree.map(jnp.copy, function(x)), out_shardings=self._of(jax.eval_shape(function, tree))
        )
        return copy(self.put_state(tree))

    def put_batch(self, batch: Batch) -> Batch:
        return self._put(batch, self._sharded)

    def _put(self, tree: Tree, sharding: NamedSharding) -> Tree:
        """What this process has, as its part of arrays that all processes hold together."""
        if self.share.count == 1:
            return jax.device_put(tree, sharding)
        return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x)), tree)

    def _of(self, state: Tree) -> Tree:
        return self.layout.of(state) if self.layout else self._replicated

    def compile(self, step: Callable[..., Tree], state: Tree, batch: Batch, *, donate: bool) -> Tree:
        """Compile `step(state, batch)` for these shapes; its outputs are replicated, a new state lies as the old."""
        jitted = jax.jit(
            step,
            in_shardings=(self._of(state), self._sharded),
            out_shardings=self._outputs(step, state, batch),
            donate_argnums=(0,) if donate else (),
        )
        return jitted.lower(state, batch).compile(compiler_options=compiler_options())

    def _outputs(self, step: Callable[..., Tree], state: Tree, batch: Batch) -> Tree:
        if not self.layout:
            return self._replicated
        structure = jax.tree.structure(state)

        def is_state(x: Tree) -> bool:
            return jax.tree.structure(x) == structure

        outputs = jax.eval_shape(step, state, batch)
        return jax.tree.map(lambda x: self._of(x) if is_state(x) else self._replicated, outputs, is_leaf=is_state)

    def each(self, function: Callable[[Tree], Tree]) -> Callable[[Tree], Tree]:
        """`function` of a state, for states on the devices; its result is on the devices too, of the same shapes."""
        if not self.layout:
            return jax.jit(function, out_shardings=self._replicated)
        compiled: list[Callable[[Tree], Tree]] = []

        def run(state: Tree) -> Tree:
            if not compiled:
                compiled.append(jax.jit(function, out_shardings=self._of(jax.eval_shape(function, state))))
            return compiled[0](state)

        return run

    def get(self, metrics: Tree) -> Tree:
        return jax.device_get(metrics)


def _divided(x: Tree, where: NamedSharding) -> jax.Array:
    """The array with its parts on the devices that `where` says; each process gives the parts of its own devices."""
    if isinstance(x, jax.Array) and x.sharding == where:
        return x
    return jax.make_array_from_callback(np.shape(x), where, lambda part: np.array(np.asarray(x)[part]))


class Pmap:
    """Data parallel by `pmap`: a leading axis of devices on everything, sums over the axis "data"."""

    axis: str | None = AXIS

    share = Share()
    layout: Layout | None = None

    def __init__(self, *, data: int = 0, fsdp: int = 1, rules: sharding.Rules = ()) -> None:
        if data or fsdp != 1 or rules:
            raise ConfigError(
                f"config.mesh needs config.parallel=jit; got pmap with mesh.data={data}, mesh.fsdp={fsdp} and "
                f"{len(rules)} rules. pmap copies the state to every device."
            )
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

    def to_save(self, state: Tree) -> Tree:
        return self.get_state(state)

    def compute(self, function: Callable[[Tree], Tree], tree: Tree) -> Tree:
        return jax.tree.map(np.array, jax.jit(function)(tree))

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


def _first(x: jax.Array) -> np.ndarray:
    """The copy on the first device, without a computation."""
    return np.asarray(x.addressable_shards[0].data)[0]


class Program:
    """A step, compiled once for every shape of batch."""

    def __init__(self, step: Callable[..., Tree], devices: Parallel, say: Say = contextlib.nullcontext) -> None:
        """`say()` is entered while XLA compiles."""
        self._step, self._devices, self._say = step, devices, say
        self._compiled: dict[tuple[tuple[str, tuple[int, ...]], ...], Callable[..., Tree]] = {}
        self.plan = memory.Plan()  # of the largest compiled program

    def compiled(self, state: Tree, batch: Batch, *, donate: bool = False) -> Callable[..., Tree]:
        """The program for this batch; `state` must always have the same shapes.

        Raises:
          DeviceError: the devices have too little memory for it.
        """
        shape = tuple((name, x.shape) for name, x in sorted(batch.items()))
        if shape not in self._compiled:
            with self._say():
                self._compiled[shape] = self._devices.compile(self._step, state, batch, donate=donate)
            planned = memory.plan(self._compiled[shape])
            memory.check(planned)
            self.plan = max(self.plan, planned, key=lambda one: one.total)
        return self._compiled[shape]


def own(devices: Parallel) -> Parallel:
    """What this process computes with where the others do not join in; with one process it is the same."""
    return devices if devices.share.count == 1 else alone()


def alone() -> Parallel:
    """The devices of this process, whether or not the run has others."""
    return Jit(alone=True)


MODES = {"jit": Jit, "pmap": Pmap}


def of(config: ConfigDict) -> Parallel:
    """What `config.parallel` and `config.mesh` say.

    Raises:
      ConfigError: the mesh does not fit the devices, or the mode.
    """
    rules = tuple((str(pattern), int(axis)) for pattern, axis in config.mesh.rules)
    return make(config.parallel, data=config.mesh.data, fsdp=config.mesh.fsdp, rules=rules)


def make(name: str, **mesh: Any) -> Parallel:
    """The mode called `name`, on the mesh that `of` reads from a config; without it, with the state on every device.

    Raises:
      ConfigError: there is none of that name.
    """
    if name not in MODES:
        raise ConfigError(f"config.parallel must be one of {', '.join(MODES)}; got '{name}'.")
    return MODES[name](**mesh)
