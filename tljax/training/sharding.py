"""Where the parts of a state lie (FSDP): a rule over paths and shapes, on a mesh of data and fsdp.

Parameters, frozen ones too, optimizer states and running means are divided over the axis fsdp; a batch is divided over
all devices. XLA gathers what a stage needs, and adds the gradients where their part lies.
"""

import dataclasses
import fnmatch
import math
from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from tljax.core.errors import ConfigError
from tljax.core.types import Tree

AXES = ("data", "fsdp")
SMALL = 2**12  # elements; a smaller leaf is on every device: to gather it costs more than it takes
Rules = Sequence[tuple[str, int]]  # (dotted path with *, axis to divide; -1: on every device)


def sizes(data: int, fsdp: int, devices: int) -> tuple[int, int]:
    """The mesh's two sizes; `data` of 0 is what remains.

    Raises:
      ConfigError: their product is not the number of devices.
    """
    shape = (data or devices // fsdp, fsdp)
    if math.prod(shape) != devices:
        raise ConfigError(
            f"config.mesh.data times config.mesh.fsdp must be the number of devices, {devices}; got "
            f"data={data}{' (the rest)' if not data else ''}, fsdp={fsdp}. Set mesh.data=0, and mesh.fsdp to a divisor "
            f"of {devices}."
        )
    return shape


@dataclasses.dataclass(frozen=True)
class Layout:
    """The sharding of every leaf of a state. The largest axis that fsdp divides is divided; `rules` come first."""

    mesh: jax.sharding.Mesh | jax.sharding.AbstractMesh
    rules: Rules = ()

    @property
    def fsdp(self) -> int:
        return self.mesh.shape["fsdp"]

    def of(self, tree: Tree) -> Tree:
        """The tree of shardings of a tree of arrays or shapes."""
        return jax.tree_util.tree_map_with_path(lambda path, x: self._leaf(dotted(path), np.shape(x)), tree)

    def check(self, params: Tree) -> None:
        """Raise ConfigError if a rule matches no parameter, or names an axis that cannot be divided."""
        shapes = {dotted(path): np.shape(x) for path, x in jax.tree_util.tree_leaves_with_path(params)}
        faults = []
        for pattern, axis in self.rules:
            matched = {path: shape for path, shape in shapes.items() if _matches(path, pattern)}
            bad = [f"{path} {shape}" for path, shape in matched.items() if not self._divides(shape, axis)]
            if not matched:
                faults.append(f"'{pattern}' matches no parameter, as 'backbone.stage1.*.kernel' could")
            elif bad:
                faults.append(f"'{pattern}': axis {axis} is not one that {self.fsdp} divides of {', '.join(bad)}")
        if faults:
            raise ConfigError("Every rule of config.mesh.rules must fit its parameters. " + "; ".join(faults) + ".")

    def bytes(self, tree: Tree) -> int:
        """Bytes of the tree on one device."""
        shapes = jax.tree.map(lambda x, sharding: math.prod(sharding.shard_shape(np.shape(x))), tree, self.of(tree))
        return sum(n * x.dtype.itemsize for n, x in zip(jax.tree.leaves(shapes), jax.tree.leaves(tree), strict=True))

    def _leaf(self, path: str, shape: tuple[int, ...]) -> NamedSharding:
        axis = next((axis for pattern, axis in self.rules if _matches(path, pattern)), None)
        # An optimizer may keep less than a parameter's shape (Adafactor's rows and columns): then no own rule fits.
        if axis is None or not self._divides(shape, axis):
            fits = [i for i, size in enumerate(shape) if size % self.fsdp == 0]
            big = fits and math.prod(shape) >= SMALL
            axis = max(fits, key=lambda i: shape[i]) if big else -1
        return NamedSharding(self.mesh, PartitionSpec(*[None] * axis, "fsdp") if axis >= 0 else PartitionSpec())

    def _divides(self, shape: tuple[int, ...], axis: int) -> bool:
        return axis == -1 or (axis < len(shape) and shape[axis] % self.fsdp == 0)


def dotted(path: tuple[object, ...]) -> str:
    """A leaf's path, as "params.backbone.stem.conv.kernel"."""
    fields = ("key", "name", "idx")
    return ".".join(str(next(getattr(key, field) for field in fields if hasattr(key, field))) for key in path)


def _matches(path: str, pattern: str) -> bool:
    """Whether the end of `path` is `pattern`: so a parameter, its running mean and its moments have one rule."""
    return fnmatch.fnmatchcase(f".{path}", f"*.{pattern}")
