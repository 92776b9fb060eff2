"""LoRA (Hu et al. 2022): low-rank updates of chosen kernels and the head learn, the rest is frozen.

A kernel W, seen as a matrix from inputs to outputs, is replaced by (the paper's equation 3)

    W + (alpha / rank) A B,    A: inputs x rank,    B: rank x outputs.

A starts uniform in +-1/sqrt(inputs), as in the authors' package (normal in the paper), and B at 0, so the network
starts exactly as the pretrained one. A convolution's kernel (K, K, C, D) is the matrix (K K C) x D: A is a convolution
to `rank` channels, B a 1x1 convolution. (The package uses the matrix (K C) x (K D), with rank K times `rank`.)

The network gets the sum, so models do not know of LoRA, and the exported kernels are those that were evaluated. The
price: the whole gradient of a kernel is computed and then projected. This costs as much as in full fine-tuning, and
6 rank |W| FLOPs more in each step, for any batch size. LoRA saves the optimizer's state, and the backward pass before
the first chosen kernel. Frozen BatchNorms run on stored statistics; a module with a chosen kernel keeps its dropout and
stochastic depth.

Dropout: the paper drops inputs of A, separately for every example. Here a row of A is dropped for the whole batch,
chosen again in every step. Defaults: rank and alpha are 8, as for RoBERTa base (table 9). The paper adapts queries and
values only; here all kernels, because a convolutional network has no queries and values.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from tljax.core import layer_groups
from tljax.core.layer_groups import Groups
from tljax.core.options import POSITIVE, SHARE, Option
from tljax.core.trees import flatten, unflatten
from tljax.core.types import Params, Phase
from tljax.transfer import added_parameters

PRETRAINED = True
OPTIONS = {
    "rank": Option(8, "r; 8 as for RoBERTa base in the paper.", POSITIVE, was="lora_rank"),
    "alpha": Option(8.0, "An update is multiplied by alpha / rank; 8 as in the paper.", POSITIVE, was="lora_alpha"),
    "dropout": Option(0.0, "Share of A's inputs dropped in a step; paper: 0.1 for GPT-2.", SHARE, was="lora_dropout"),
    "kernels": Option("backbone/.*/kernel", "The kernels that get an update, chosen as in config.groups."),
    "backbone_scale": Option(1.0, "Scale of what learns in the backbone; the head's is 1.", POSITIVE),
}


def initialize(
    params: Params, groups: Groups, config: ConfigDict, *, stages: Sequence[str], seed: int
) -> tuple[Params, Groups]:
    """The parameters with "lora", {..."kernel": {"a": (inputs, rank), "b": (rank, outputs)}}, in a group of its own.

    Raises:
      ConfigError: `config.kernels` chooses none, a group is called "lora", or the head has none of its own.
    """
    chosen, rank = added_parameters.kernels(params, stages, config.kernels), config.rank
    keys, leaves = added_parameters.keyed(jax.random.key(seed), chosen), {}
    for path, kernel in chosen.items():
        inputs, outputs = math.prod(kernel.shape[:-1]), kernel.shape[-1]
        bound = inputs**-0.5
        leaves[f"{path}/a"] = np.array(jax.random.uniform(keys[path], (inputs, rank), minval=-bound, maxval=bound))
        leaves[f"{path}/b"] = np.zeros((rank, outputs), np.float32)
    return added_parameters.add(params, groups, "lora", leaves)


def plan(groups: Groups, config: ConfigDict) -> tuple[Phase, ...]:
    """One phase: the group "lora" at `config.backbone_scale`, the head at 1, all else frozen."""
    scales = {group: config.backbone_scale * (group == "lora") for group in groups}
    return (Phase("lora", 1.0, scales | {layer_groups.head(groups): 1.0}),)


def effective(params: Params, config: ConfigDict, rng: jax.Array | None = None) -> Params:
    """The backbone with its updates added, and the head."""
    backbone, factors = flatten(params["backbone"]), flatten(params["lora"])
    paths = [path.removesuffix("/a") for path in factors if path.endswith("/a")]
    keys = added_parameters.keyed(rng, paths) if rng is not None and config.dropout else {}
    for path in paths:
        a, b = factors[f"{path}/a"], factors[f"{path}/b"]
        if keys:
            keep = jax.random.bernoulli(keys[path], 1 - config.dropout, (a.shape[0], 1))
            a = jnp.where(keep, a / (1 - config.dropout), 0)
        update = config.alpha / config.rank * (a @ b)  # (inputs, outputs)
        backbone[path] = backbone[path] + update.reshape(backbone[path].shape)
    return {"backbone": unflatten(backbone), "head": params["head"]}
