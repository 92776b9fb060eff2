"""What the ViT tests share: a network, its variables from published arrays, its stages one by one."""

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any
from unittest import mock

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from tljax.core.trees import flatten
from tljax.core.types import Card, Published, Variables
from tljax.networks.families import vit
from tljax.networks.network import Network
from tljax.weights import layouts, placement

CLASSES = 1000
Size = tuple[int, int]


@contextmanager
def cut(variant: str, **changes: Any) -> Iterator[str]:
    """The name of a variant that stands in the table for as long as the block runs: `variant`, but for `changes`."""
    with mock.patch.dict(vit.VARIANTS, {"cut": dataclasses.replace(vit.VARIANTS[variant], **changes)}):
        yield "cut"


def network(variant: str, *, classes: int = CLASSES, dtype: Any = jnp.float32) -> Network:
    return Network(vit.build(variant, dtype=dtype), nn.Dense(classes))


def shapes(variant: str, size: Size = (224, 224), classes: int = CLASSES) -> Variables:
    """Shape and dtype of every variable, without computing one."""
    return _shapes(vit.VARIANTS[variant], size, classes)


@cache
def _shapes(variant: vit.Variant, size: Size, classes: int) -> Variables:
    return placement.shapes(Network(vit.ViT(variant), nn.Dense(classes)), np.zeros((1, *size, 3), np.float32))


def timm_shapes(variant: str, size: Size = (224, 224), classes: int = CLASSES) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor that timm publishes."""
    ours = flatten(shapes(variant, size, classes)["params"])
    axes = {row.published: layouts.TO_THEIRS[row.layout] for row in vit.names(variant)}
    paths = {row.published: ours[row.path].shape for row in vit.names(variant)}
    found = {name: tuple(shape[i] for i in axes[name] or range(len(shape))) for name, shape in paths.items()}
    if vit.VARIANTS[variant].distilled:  # two classifiers of D, where we have one of 2 D
        classes, width = found["head.weight"]
        found["head.weight"] = found["head_dist.weight"] = (classes, width // 2)
        found["head_dist.bias"] = found["head.bias"]
    return found


def placed(variant: str, arrays: Mapping[str, np.ndarray], size: Size, classes: int = CLASSES) -> Variables:
    """timm's arrays as variables; every leaf is theirs."""
    published = Published(vit.adapt(arrays, (1, *size, 3)), Card(mean=(0.5,) * 3, std=(0.5,) * 3), "drawn")
    rows = vit.names(variant)
    variables, kept = placement.place(shapes(variant, size, classes), published, rows, unused=vit.UNUSED, head=True)
    assert not kept
    return variables


def outputs(net: Network, variables: Variables, x: Any) -> dict[str, np.ndarray]:
    """The output of every stage, each on that of the one before, and the logits."""

    @jax.jit
    def run(variables: Variables, x: Any) -> dict[str, Any]:
        found = {}
        for name in net.backbone.stages:
            before, x = x, net.apply(variables, x, name, method=_one_stage)
            found[name] = x
        return found | {"logits": net.apply(variables, before, start=name)}

    found = run(variables, x)  # with rotary positions, beside the tokens stand the patches' places
    return {name: np.asarray(one[0] if isinstance(one, tuple) else one) for name, one in found.items()}


def _one_stage(net: Network, x: jax.Array, name: str) -> jax.Array:
    return net.backbone(x, start=name, stop=name)
