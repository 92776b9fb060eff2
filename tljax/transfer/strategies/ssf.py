"""SSF (Lian et al. 2022, arXiv 2210.08823): a scale and a shift of every layer's output, and the head, learn.

After a layer with output x stands (the paper's equation 4)

    y = gamma * x + beta,    gamma, beta: one number for each channel of the output.

Both merge into the layer (the paper's section 3.3). A dense layer, convolution or normalisation with kernel or scale W
and bias b becomes gamma W and gamma b + beta: the same function, in training, in evaluation and in the exported model.
So the network gets the merged arrays, and models do not know of SSF.

A layer without a bias has nowhere to put beta: it gets gamma alone. In our networks a normalisation follows it, which
has both. BatchNorms with a beta use and update the statistics of the batch, as in bitfit. A network that standardises
its kernels (bit) undoes their gamma: there choose kernels="backbone/.*/scale". Start: the authors' code draws gamma
from a normal distribution around 1 and beta around 0, with standard deviation 0.02 for both (`deviation`).
"""

from collections.abc import Sequence

import jax
import numpy as np
from ml_collections import ConfigDict

from tljax.core import layer_groups
from tljax.core.layer_groups import Groups
from tljax.core.options import NOT_NEGATIVE, POSITIVE, Option
from tljax.core.trees import flatten, unflatten
from tljax.core.types import Params, Phase
from tljax.transfer import added_parameters

PRETRAINED = True
OPTIONS = {
    "deviation": Option(
        0.02, "Of the first scales around 1 and shifts around 0; 0.02 in the authors' code.", NOT_NEGATIVE
    ),
    "layers": Option(
        "backbone/.*/(kernel|scale)", "Layers with a scale and a shift: their kernels or scales, as in config.groups."
    ),
    "backbone_scale": Option(1.0, "Scale of what learns in the backbone; the head's is 1.", POSITIVE),
}


def initialize(
    params: Params, groups: Groups, config: ConfigDict, *, stages: Sequence[str], seed: int
) -> tuple[Params, Groups]:
    """The parameters with "ssf", {layer: {"gamma": (D,), "beta": (D,)}}, in a group of its own.

    Raises:
      ConfigError: `config.layers` chooses none, a group is called "ssf", or the head has none of its own.
    """
    weights = added_parameters.weights(params, stages, config.layers, key="layers", leaves=("kernel", "scale"))
    backbone, starts = flatten(params["backbone"]), {}
    for path, weight in weights.items():
        layer, _, _ = path.rpartition("/")
        starts[f"{layer}/gamma"] = (1.0, weight.shape[-1:])
        if f"{layer}/bias" in backbone:
            starts[f"{layer}/beta"] = (0.0, weight.shape[-1:])
    keys = added_parameters.keyed(jax.random.key(seed), starts)
    leaves = {
        path: np.array(mean + config.deviation * jax.random.normal(keys[path], shape), np.float32)
        for path, (mean, shape) in starts.items()
    }
    return added_parameters.add(params, groups, "ssf", leaves)


def plan(groups: Groups, config: ConfigDict) -> tuple[Phase, ...]:
    """One phase: the group "ssf" at `config.backbone_scale`, the head at 1, all else frozen."""
    scales = {group: config.backbone_scale * (group == "ssf") for group in groups}
    return (Phase("ssf", 1.0, scales | {layer_groups.head(groups): 1.0}),)


def effective(params: Params, config: ConfigDict, rng: jax.Array | None = None) -> Params:
    """The backbone with every scale and shift merged into its layer, and the head."""
    del config, rng
    backbone, learned = flatten(params["backbone"]), flatten(params["ssf"])
    for path, vector in learned.items():
        layer, _, name = path.rpartition("/")
        if name == "gamma":
            weight = f"{layer}/kernel" if f"{layer}/kernel" in backbone else f"{layer}/scale"
            outputs = (1,) * (backbone[weight].ndim - 1) + vector.shape  # the last axis
            backbone[weight] = backbone[weight] * vector.reshape(outputs)
        else:
            backbone[f"{layer}/bias"] = backbone[f"{layer}/bias"] * learned[f"{layer}/gamma"] + vector
    return {"backbone": unflatten(backbone), "head": params["head"]}
