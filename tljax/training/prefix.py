"""The first stages of a network, frozen: a program from stored examples to features."""

import functools
import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import jax
import numpy as np
from jax import lax

from tljax.core import signals
from tljax.core.errors import ConfigError
from tljax.core.experiment import Experiment
from tljax.core.layer_groups import between
from tljax.core.processes.agreement import Share
from tljax.core.trees import flatten, unflatten
from tljax.core.types import EVALUATE, Batch, Tree, Variables
from tljax.data.batches import ALL, lengths_of, taken
from tljax.reporting.terminal import Screen
from tljax.training.parallel import Parallel, Program


class Prefix:
    """The frozen first stages of an experiment's network: a program from stored examples to the stages' outputs."""

    def __init__(self, experiment: Experiment, stop: str | None, devices: Parallel, *, augment: bool = False) -> None:
        """
        Args:
          stop: the last of the stages; None: all stages, up to the head's input features.
          augment: whether examples are augmented as in training, or prepared as in evaluation.
        """
        inside = tuple(f"backbone/{stage}/" for stage in between(experiment.stages, None, stop))
        self.variables: Variables = {
            collection: unflatten({path: x for path, x in flatten(tree).items() if path.startswith(inside)})
            for collection, tree in experiment.variables.items()
        }
        self.augment, self._made, self._stop, self._devices = augment, experiment, stop, devices
        self.share = devices.share
        self._program: Program | None = None
        train = experiment.parts["train"]
        lengths = lengths_of(train)
        longest = 0 if lengths is None else int(np.argmax(lengths))  # texts differ in length; the key must not
        first = inputs_of(train, np.array([longest])) | {"position": np.zeros(1, np.int32)}
        self._example = {name: jax.ShapeDtypeStruct(x.shape, x.dtype) for name, x in first.items()}

    def step(self, variables: Variables, batch: Batch) -> dict[str, jax.Array]:
        """A batch of stored examples -> the arrays to keep, (B, ...) by name.

        The names are "features", or "features/<stage>" for each stage that the head reads; and "label", if it changes
        with the picture. Augmentation of an example depends only on its "position".
        """
        batch = self._made.prepare(batch, jax.random.key(0), self.augment)
        known: Tree = self._made.network.apply(variables, batch["inputs"], EVALUATE, stop=self._stop, method="features")
        return flatten({"features": known}) | ({"label": batch["label"]} if self._made.info.loaded else {})

    @functools.cached_property
    def row(self) -> dict[str, jax.ShapeDtypeStruct]:
        """Name -> shape and dtype of one example's array."""
        out = jax.eval_shape(self.step, self.variables, self._example)
        if any(x.shape[:1] != (1,) for x in out.values()):
            raise ConfigError(
                "Features can be computed once only if an example always has the same; config.task.name=masked_lm "
                "masks other tokens in every step. Set config.data.cached_views=0, or choose a strategy with steps."
            )
        return {name: jax.ShapeDtypeStruct(x.shape[1:], x.dtype) for name, x in out.items()}

    @property
    def row_bytes(self) -> int:
        return sum(x.size * x.dtype.itemsize for x in self.row.values())

    @property
    def shapes(self) -> str:
        """The shapes of one example's features, for the user: "(512,)", or "stage1 (8, 8, 64), stage2 (4, 4, 128)"."""
        by_stage = {name.partition("/")[2]: x.shape for name, x in self.row.items() if name != "label"}
        return ", ".join(f"{stage} {shape}".strip() for stage, shape in by_stage.items())

    @functools.cached_property
    def key(self) -> str:
        """A hash of the program with its preprocessing, of the device, and of the weights' bytes."""
        text = jax.jit(self.step).lower(self.variables, self._example).as_text()
        digest = hashlib.sha256(f"{jax.__version__} {jax.devices()[0].device_kind}\n{text}".encode())
        for path, leaf in sorted(flatten(self.variables).items()):
            digest.update(f"{path} {leaf.dtype} {leaf.shape}".encode() + np.ascontiguousarray(leaf).tobytes())
        return digest.hexdigest()

    def run(self, batches: Iterable[Batch], screen: Screen) -> Iterator[dict[str, np.ndarray]]:
        """The arrays to keep of every batch, on the host."""
        axis = self._devices.axis

        def step(variables: Variables, batch: Batch) -> dict[str, jax.Array]:
            rows = self.step(variables, batch)
            return lax.all_gather(rows, axis, tiled=True) if axis else rows

        self._program = self._program or Program(step, self._devices, functools.partial(screen.compiling, "features"))
        on_device = self._devices.put_state(self.variables)
        for host_batch in batches:
            signals.poll()
            batch = self._devices.put_batch(host_batch)
            yield self._devices.get(self._program.compiled(on_device, batch)(on_device, batch))


def inputs_of(examples: Any, positions: np.ndarray, share: Share = ALL) -> Batch:
    """The stored examples at `positions`; with labels only if these change with the picture."""
    left_out = () if examples.subset.info.loaded else ("label",)
    return {name: x for name, x in taken(examples, positions, share).items() if name not in left_out}
