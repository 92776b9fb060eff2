"""What the ResNet tests share: a network, its variables from published arrays, its stages one by one."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from tljax.core.trees import flatten
from tljax.core.types import EVALUATE, Card, Mode, Published, Variables
from tljax.networks.families import resnet
from tljax.networks.network import Network
from tljax.weights import layouts, placement

CLASSES = 1000
VARIANTS = tuple(name for name, shape in resnet.VARIANTS.items() if not shape.dilated)  # the same weights


def network(variant: str, *, dtype: Any = jnp.float32) -> Network:
    return Network(resnet.build(variant, dtype=dtype), nn.Dense(CLASSES))


@cache
def shapes(variant: str) -> Variables:
    """Shape and dtype of every variable, without computing one."""
    return jax.eval_shape(network(variant).init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))


def published_shapes(variant: str) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor under its published name, in the published layout."""
    ours = {collection: flatten(tree) for collection, tree in shapes(variant).items()}
    rows = resnet.names(variant)
    axes = {row.published: layouts.TO_THEIRS[row.layout] for row in rows}
    found = {row.published: ours[row.collection][row.path].shape for row in rows}
    return {name: tuple(shape[i] for i in axes[name] or range(len(shape))) for name, shape in found.items()}


def published(arrays: Mapping[str, np.ndarray], where: str = "drawn") -> Published:
    return Published(arrays, Card(mean=(0.0,) * 3, std=(1.0,) * 3), where)


def placed(variant: str, arrays: Mapping[str, np.ndarray]) -> Variables:
    """The published arrays as variables; every leaf is theirs."""
    rows = resnet.names(variant)
    variables, kept = placement.place(shapes(variant), published(arrays), rows, unused=resnet.UNUSED, head=True)
    assert not kept
    return variables


def stage(net: Network, variables: Variables, x: Any, name: str, mode: Mode = EVALUATE) -> tuple[jax.Array, Any]:
    """The output of one stage on the output of the one before it, and its new batch_stats."""
    return net.apply(variables, x, mode, name, method=_one_stage, mutable=["batch_stats"])  # pyright: ignore


def _one_stage(net: Network, x: jax.Array, mode: Mode, name: str) -> jax.Array:
    return net.backbone(x, mode, start=name, stop=name)


def outputs(net: Network, variables: Variables, x: Any) -> dict[str, np.ndarray]:
    """The output of every stage in evaluation mode, and the logits."""

    @jax.jit
    def run(variables: Variables, x: Any) -> dict[str, Any]:
        found = {"logits": net.apply(variables, x)}
        for name in net.backbone.stages:
            x, _ = stage(net, variables, x, name)
            found[name] = x
        return found

    return {name: np.asarray(output) for name, output in run(variables, x).items()}


def difference(ours: Any, theirs: Any, largest: float | None = None) -> float:
    """The largest difference as a share of the largest magnitude (of `theirs`, unless given)."""
    theirs = np.asarray(theirs)
    return float(np.abs(np.asarray(ours) - theirs).max() / (np.abs(theirs).max() if largest is None else largest))
