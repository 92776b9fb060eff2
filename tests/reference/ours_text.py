"""What the tests of text encoders share: narrow networks, their variables from published arrays, stages one by one."""

import dataclasses
from functools import cache
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from reference import draw, ours

from tljax.core.trees import flatten
from tljax.core.types import EVALUATE, Mode, Variables
from tljax.networks import disentangled
from tljax.networks.encoder import Encoder, Variant
from tljax.networks.families import bert, deberta, distilbert, electra, roberta
from tljax.networks.network import Network
from tljax.weights import placement
from tljax.weights.layouts import published_shape

FAMILIES = {"bert": bert, "roberta": roberta, "distilbert": distilbert, "electra": electra, "deberta": deberta}
# The variants of the stored outputs.
PUBLISHED = {
    "bert": "base",
    "roberta": "base_pooler",
    "distilbert": "base",
    "electra": "small_pooler",
    "deberta": "base_pooler",
}
# As of `torch_text`.
NARROW = {"width": 32, "heads": 4, "depth": 2, "units": 48, "vocabulary": 50, "positions": 24}
OWN = {"electra": {"embedding": 16}, "deberta": {"buckets": 8}}
TEXT = draw.TEXTS[0]


def tokens(family: str, shape: tuple[int, int] = TEXT) -> dict[str, np.ndarray]:
    """Drawn texts (B, L) with the family's padding."""
    return draw.tokens(shape, padding=int(family == "roberta"))


def narrow(family: str, **changes: Any) -> Variant:
    return dataclasses.replace(FAMILIES[family].VARIANTS[PUBLISHED[family]], **NARROW | OWN.get(family, {}) | changes)


@cache
def network(shape: Variant, *, classes: int = 10, dtype: Any = jnp.float32) -> Network:
    kind = disentangled.Encoder if isinstance(shape, disentangled.Variant) else Encoder
    return Network(kind(shape, dtype=dtype), nn.Dense(classes))


@cache
def published_shapes(family: str, net: Network) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor under its published name, in the published layout."""
    leaves = flatten(placement.shapes(net, tokens(family))["params"])
    rows = FAMILIES[family].names(net.backbone.variant)  # pyright: ignore[reportAttributeAccessIssue]
    return {row.published: published_shape(leaves[row.path].shape, row.layout) for row in rows}


def placed(family: str, net: Network, arrays: dict[str, np.ndarray]) -> Variables:
    """Published arrays, in any of their spellings, as variables; every leaf is theirs."""
    module, shape = FAMILIES[family], net.backbone.variant  # pyright: ignore[reportAttributeAccessIssue]
    published = ours.published(module.adapt(arrays, TEXT))
    shapes, rows = placement.shapes(net, tokens(family)), module.names(shape)
    variables, kept = placement.place(shapes, published, rows, unused=module.UNUSED, head=True)
    assert not kept
    return variables


@cache
def drawn(family: str, net: Network) -> Variables:
    return placed(family, net, draw.weights(published_shapes(family, net)))


def outputs(net: Network, variables: Variables, x: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The output of every stage, each on that of the one before, and the logits; hidden states are 0 at padding."""

    @jax.jit
    def run(variables: Variables, x: Any) -> dict[str, Any]:
        found, mask = {"logits": net.apply(variables, x)}, x["mask"][..., None]
        for name in net.backbone.stages:  # pyright: ignore[reportAttributeAccessIssue]
            x = net.apply(variables, x, EVALUATE, name, method=one_stage)  # pyright: ignore[reportArgumentType]
            found[name] = x if name == "pool" else x["hidden"] * mask
        return found

    return {name: np.asarray(output) for name, output in run(variables, x).items()}


def one_stage(net: Network, x: Any, mode: Mode, name: str) -> Any:
    return net.backbone(x, mode, start=name, stop=name)
