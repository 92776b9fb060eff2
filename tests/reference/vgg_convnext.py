"""What the VGG, ConvNeXt, BiT and DenseNet tests share: networks, shapes, variables, stored outputs.

`family` is a module of `tljax/networks/families/`, `net` a network with its backbone.
"""

import dataclasses
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from reference import draw, ours

from tljax.core.trees import flatten
from tljax.core.types import Variables
from tljax.networks.network import Network
from tljax.weights import layouts, placement

NARROW = {"narrow": 8, "classes": 10}  # the stored networks: all channels divided by 8


@cache
def network(family: Any, variant: str, *, classes: int = 1000, narrow: int = 1, **options: Any) -> Network:
    """The network of a variant, its channels and units divided by `narrow`."""
    backbone = family.build(variant, **options)
    shape = backbone.variant
    sizes = {name: getattr(shape, name) for name in ("width", "widths", "dense") if hasattr(shape, name)}
    sizes = jax.tree.map(lambda size: size // narrow, sizes)
    return Network(backbone.clone(variant=dataclasses.replace(shape, **sizes)), nn.Dense(classes))


@cache
def shapes(net: Network) -> Variables:
    """Shape and dtype of every variable, without computing one."""
    return dict(jax.eval_shape(net.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3))))


def rows(family: Any, net: Network) -> tuple[Any, ...]:
    return tuple(family.names(net.backbone.variant))  # pyright: ignore[reportAttributeAccessIssue]


def published_shapes(family: Any, net: Network) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor under its published name, in the published layout."""
    leaves = {collection: flatten(tree) for collection, tree in shapes(net).items()}
    return {
        row.published: layouts.published_shape(leaves[row.collection][row.path].shape, row.layout)
        for row in rows(family, net)
    }


@cache
def drawn_arrays(family: Any, net: Network) -> dict[str, np.ndarray]:
    return draw.weights(published_shapes(family, net))


def placed(family: Any, net: Network, arrays: dict[str, np.ndarray]) -> Variables:
    """The published arrays as variables; every leaf is theirs."""
    published, table = ours.published(arrays), rows(family, net)
    variables, kept = placement.place(shapes(net), published, table, unused=family.UNUSED, head=True)
    assert not kept
    return variables


@cache
def drawn(family: Any, net: Network) -> Variables:
    """The variables drawn for the stored outputs."""
    return placed(family, net, drawn_arrays(family, net))


@cache
def stored(file: str) -> dict[str, np.ndarray]:
    with np.load(Path(__file__).parent / f"{file}.npz") as opened:
        return dict(opened)


def stored_shapes(file: str) -> dict[str, tuple[int, ...]]:
    """Shape of every published tensor of the whole network."""
    pairs = zip(stored(file)["names"], stored(file)["shapes"], strict=True)
    return {str(name): tuple(map(int, shape.split())) for name, shape in pairs}


def outputs(net: Network, variables: Variables, x: np.ndarray) -> dict[str, np.ndarray]:
    """The output of every stage on that of the one before it, and the logits, in evaluation mode."""

    @jax.jit
    def run(variables: Variables, x: jax.Array) -> dict[str, jax.Array]:
        found = {}
        for name in net.backbone.stages:  # pyright: ignore[reportAttributeAccessIssue]
            before, (x, _) = x, ours.stage(net, variables, x, name)
            found[name] = x
        return found | {"logits": net.apply(variables, before, start=name)}

    return {name: np.asarray(output) for name, output in run(variables, jnp.asarray(x)).items()}


def differences(
    family: Any, net: Network, file: str, inputs: tuple[tuple[int, ...], ...] = draw.INPUTS
) -> dict[tuple[Any, ...], float]:
    """Difference / largest magnitude from the stored outputs: every input, stage and the logits."""
    reference, found = stored(file), {}
    for i, shape in enumerate(inputs):
        by_stage = outputs(net, drawn(family, net), draw.image(shape))
        found[i, "logits"] = ours.difference(by_stage.pop("logits"), reference[f"{i}/logits"])
        for stage, output in by_stage.items():
            key = f"{i}/{stage}"
            assert output.shape == tuple(reference[f"{key}/shape"]), key
            largest, values = reference[f"{key}/largest"], reference[key]
            where = draw.positions(output.size)[: len(values)]
            found[i, stage] = ours.difference(output.reshape(-1)[where], values, largest)
            found[i, stage, "largest"] = ours.difference(np.abs(output).max(), largest)
    return found


def gradients(
    family: Any, variant: str, x: np.ndarray, labels: np.ndarray, sizes: Mapping[str, int] = NARROW
) -> tuple[float, dict[str, np.ndarray]]:
    """Mean cross-entropy of a narrow network in evaluation mode, in float64; its gradient by tensors and input."""
    table = [row for row in rows(family, network(family, variant, **sizes)) if row.collection == "params"]
    variables = jax.tree.map(np.float64, drawn(family, network(family, variant, **sizes)))
    with jax.enable_x64(True):
        net = network(family, variant, dtype=jnp.float64, **sizes)

        def loss(params: Any, x: jax.Array) -> jax.Array:
            logits = net.apply({**variables, "params": params}, x)
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

        step = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))
        value, (grads, grad_x) = step(variables["params"], x.astype(np.float64))
        return float(value), placement.publish({"params": grads}, table) | {"input": np.asarray(grad_x)}


def above(tolerance: float, found: dict[str, Any], expected: dict[str, Any], title: str) -> dict[str, float]:
    """The differences above `tolerance`; the largest ones are printed (pytest -rP shows them)."""
    assert {key: value.shape for key, value in found.items()} == {key: value.shape for key, value in expected.items()}
    share = {key: ours.difference(found[key], expected[key]) for key in expected}
    worst = sorted(share, key=lambda key: -share[key])[:4]
    print(f"{title}: " + ", ".join(f"{name} {share[name]:.1e}" for name in worst))
    return {key: value for key, value in share.items() if not value <= tolerance}
