"""What the layers of a network respond to: the filters of the first one, and what each stage makes of a picture."""

import jax
import numpy as np

from tljax.core.trees import flatten
from tljax.core.types import EVALUATE, Tree, Variables
from tljax.serving.explain import heat_maps
from tljax.serving.saved_model import Model

FILTERS, CHANNELS = 64, 8


def filters(model: Model) -> np.ndarray | None:
    """The first layer's filters as pictures (n, h, w, C), each from 0 to 1, the strongest first.

    Returns:
      At most FILTERS of them; None where the first stage has no convolution of more than one pixel.
    """
    first = f"backbone/{model.network.stages[0]}/"
    kernels = [x for path, x in flatten(model.variables["params"]).items() if path.startswith(first) and x.ndim == 4]
    kernels = [np.asarray(x, np.float32) for x in kernels if x.shape[0] > 1 and x.shape[2] in (1, 3, 4)]
    if not kernels:
        return None
    found = np.moveaxis(kernels[0], -1, 0)[..., :3]  # (h, w, C, D) -> (D, h, w, C)
    found = found[np.argsort(-np.square(found).sum(axis=(1, 2, 3)), kind="stable")[:FILTERS]]
    low, high = found.min(axis=(1, 2, 3), keepdims=True), found.max(axis=(1, 2, 3), keepdims=True)
    return (found - low) / np.where(high > low, high - low, 1)


def stages(model: Model, image: np.ndarray) -> dict[str, np.ndarray]:
    """Of every stage with maps, its most active channels on a stored picture: name -> (CHANNELS or fewer, h, w)."""
    inputs = model.asked.prepare(model.asked.batch([image]), jax.random.key(0), False)["inputs"]
    names = heat_maps.map_stages(model, inputs)

    def run(variables: Variables, x: Tree) -> dict[str, Tree]:
        found, before = {}, None
        for name in names:  # one after another, so that no stage is computed twice
            x = model.network.backbone.apply(  # pyright: ignore[reportAttributeAccessIssue]
                {kind: tree["backbone"] for kind, tree in variables.items() if "backbone" in tree},
                x, EVALUATE, start=name if before else None, stop=name,
            )  # fmt: skip
            found[name], before = x, name
        return found

    found = jax.jit(run)(model.variables, inputs)  # jit sorts them by name
    return {name: _strongest(np.asarray(found[name][0], np.float32)) for name in names}


def _strongest(maps: np.ndarray) -> np.ndarray:
    """(h, w, D) -> (n, h, w): the channels that differ most from place to place."""
    order = np.argsort(-maps.std(axis=(0, 1)), kind="stable")[:CHANNELS]
    return np.moveaxis(maps[..., order], -1, 0)
