"""Where in a picture a network looks: Grad-CAM, attention roll-out, gradient x input."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tljax.core.errors import ConfigError
from tljax.core.types import EVALUATE, Tree, Variables
from tljax.networks.attention import WEIGHTS
from tljax.serving.saved_model import Model

CAM, ROLLOUT, GRADIENT = "Grad-CAM", "attention roll-out", "gradient x input"
LARGE = 99  # percentile of a gradient map that is drawn as its largest value: single pixels are far above the rest


@dataclasses.dataclass(frozen=True)
class Looked:
    """What a network saw of N pictures, and where it looked."""

    seen: np.ndarray  # (N, H, W, 3 or 1) uint8: the pictures as they went in, cropped and resized
    maps: Mapping[str, np.ndarray]  # name of a method -> (N, h, w), each from 0 to 1


class HeatMaps:
    """Why a model says of pictures that they are of a class, have a label or are worth a number; compiles once for each
    number of pictures.

    Networks with maps of places have Grad-CAM (Selvaraju et al. 2017) of the last of them, transformers the roll-out of
    their attention (Abnar & Zuidema 2020), which is the same for all classes; both gradient x input (Shrikumar et al.
    2016), its size summed over channels.
    """

    def __init__(self, model: Model) -> None:
        """Raises ConfigError if what tells classes is no layer of the network."""
        if model.classifier is not None:
            raise ConfigError(
                "A heat map needs classes that the network's head tells apart; this run's classifier is none."
            )
        self._model = model
        self._gradients = jax.jit(lambda v, x, k, stage: _gradients(model, v, x, k, stage), static_argnums=3)
        self._attended = jax.jit(lambda v, x, k: _attended(model, v, x, k))
        self._stages: list[str] | None = None  # those with maps, once they are known

    def __call__(self, images: Sequence[np.ndarray], classes: Sequence[int]) -> Looked:
        """
        Args:
          images: stored pictures, as `model.asked.read` gives them.
          classes: numbers of the outputs that are asked about, one for each picture.
        """
        model = self._model
        inputs = model.asked.prepare(model.asked.batch(list(images)), jax.random.key(0), False)["inputs"]
        self._stages = map_stages(model, inputs) if self._stages is None else self._stages
        numbers = jnp.asarray(list(classes), jnp.int32)
        maps: dict[str, np.ndarray] = {}
        if self._stages:
            cam, gradient = self._gradients(model.variables, inputs, numbers, self._stages[-1])
            maps[CAM] = _scaled(np.maximum(cam, 0), 100)
        else:
            gradient, weights = self._attended(model.variables, inputs, numbers)
            if weights:
                maps[ROLLOUT] = _scaled(_rolled([np.asarray(one) for one in weights], model), 100)
        maps[GRADIENT] = _scaled(np.asarray(gradient), LARGE)
        return Looked(seen(model, np.asarray(inputs)), maps)


def of(model: Model, images: Sequence[np.ndarray], classes: Sequence[int]) -> Looked:
    """`HeatMaps` of a model that is asked once."""
    return HeatMaps(model)(images, classes)


def map_stages(model: Model, inputs: jax.Array) -> list[str]:
    """The stages that put out maps (B, h, w, D), input first."""
    network, found = model.network, []
    for stage in network.stages:
        out = jax.eval_shape(
            lambda v, x, stop=stage: network.apply(v, x, EVALUATE, stop=stop, method="features"),
            model.variables,
            inputs[:1],
        )
        if getattr(out, "ndim", 0) == 4 and out.shape[1] * out.shape[2] > 1:
            found.append(stage)
    return found


def seen(model: Model, inputs: np.ndarray) -> np.ndarray:
    """Normalised inputs as pictures (N, H, W, C) uint8 again."""
    card, channels = model.card, inputs.shape[-1]
    mean, std = (np.resize(np.array(x, np.float32), channels) for x in (card.mean, card.std))
    pixels = np.clip((inputs * std + mean) * card.scale, 0, 255)
    pixels = pixels[..., ::-1] if card.channel_order == "BGR" and channels == 3 else pixels
    return pixels.round().astype(np.uint8)


def _gradients(
    model: Model, variables: Variables, inputs: jax.Array, classes: jax.Array, stage: str
) -> tuple[jax.Array, jax.Array]:
    """(Grad-CAM of the stage, with its negative values; gradient x input): (N, h, w) each."""
    network, last = model.network, model.network.stages[-1]

    def until(x: jax.Array) -> Tree:
        return network.apply(variables, x, EVALUATE, stop=stage, method="encoded")

    def from_there(maps: Tree) -> jax.Array:
        if stage == last:
            logits: Tree = network.apply(variables, maps, method=lambda one, x: one.head(one.backbone.features(x)))
        else:
            following = network.stages[network.stages.index(stage) + 1]
            logits = network.apply(variables, maps, EVALUATE, start=following)
        return jnp.take_along_axis(logits, classes[:, None], axis=1).astype(jnp.float32).sum()

    maps, back = jax.vjp(until, inputs)
    of_maps = jax.grad(from_there)(maps)
    (of_inputs,) = back(of_maps)
    strength = of_maps.astype(jnp.float32).mean(axis=(1, 2), keepdims=True)  # (N, 1, 1, D)
    return (strength * maps.astype(jnp.float32)).sum(-1), jnp.abs(of_inputs * inputs).sum(-1)


def _attended(model: Model, variables: Variables, inputs: jax.Array, classes: jax.Array) -> tuple[Any, list[Any]]:
    """(Gradient x input (N, h, w); the attention weights of every block (N, heads, L, L), input first)."""
    network = model.network

    def score(x: jax.Array) -> tuple[jax.Array, Tree]:
        logits, kept = network.apply(variables, x, EVALUATE, mutable=[WEIGHTS])
        chosen = jnp.take_along_axis(logits, classes[:, None], axis=1)
        return chosen.astype(jnp.float32).sum(), kept

    gradient, kept = jax.grad(score, has_aux=True)(inputs)
    blocks = kept.get(WEIGHTS, {}).get("backbone", {})
    weights = [blocks[stage]["attn"]["weights"][0] for stage in network.stages if "attn" in blocks.get(stage, {})]
    return jnp.abs(gradient * inputs).sum(-1), weights


def _rolled(weights: Sequence[np.ndarray], model: Model) -> np.ndarray:
    """From which patches the head's input comes, (N, h, w); half of what a block is given passes by its attention."""
    tokens = weights[0].shape[-1]
    flow = np.broadcast_to(np.eye(tokens, dtype=np.float32), (len(weights[0]), tokens, tokens))
    for block in weights:
        mixed = (block.mean(axis=1) + np.eye(tokens, dtype=np.float32)) / 2
        flow = mixed @ flow
    variant: Any = model.network.backbone.variant  # pyright: ignore[reportAttributeAccessIssue]
    before = sum(variant.tokens.values())
    averaged = variant.average or variant.average_after or variant.attention_pool
    asks = flow[:, before:].mean(axis=1) if averaged else flow[:, 0]
    patches = asks[:, before:]
    side = round(patches.shape[1] ** 0.5)
    return patches.reshape(len(patches), side, side)


def _scaled(maps: np.ndarray, percentile: float) -> np.ndarray:
    """Each map from 0 to 1; of a map that is the same everywhere, 0."""
    maps = np.asarray(maps, np.float32)
    low = maps.min(axis=(1, 2), keepdims=True)
    high = np.percentile(maps, percentile, axis=(1, 2), keepdims=True)
    return np.clip((maps - low) / np.where(high > low, high - low, 1), 0, 1)
