"""LoRA (Hu et al. 2022): low-rank updates of chosen kernels and the head learn, the rest is frozen.

A kernel W, seen as a matrix from inputs to outputs, is replaced by (the paper's equation 3)

    W + (alpha / rank) A B,    A: inputs x rank,    B: rank x outputs.

A starts uniform in +-1/sqrt(inputs), as in the authors' package (normal in the paper), and B at 0, so the network
starts exactly as the pretrained one. A convolution's kernel (K, K, C, D) is the matrix (K K C) x D: A is a convolution
to `rank` channels, B a 1x1 convolution. (The package uses the matrix (K C) x (K D), with rank K times `rank`.)

Three variants, off by default. `rslora` (Kalajdzievski 2023, arXiv 2312.03732) divides alpha by the root of the rank,
so that an update's size does not shrink as the rank grows. LoRA+ (Hayou et al. 2024, arXiv 2402.12354) gives B
`b_ratio` times the rate of A; the paper advises 16. `qkv` gives chosen parts of a joint kernel of queries, keys and
values (vit) an A and a B each, and the rest of it none: "qv" with kernels="backbone/.*/qkv/kernel" is the first paper's
choice. Where the projections are kernels of their own, `kernels` chooses among them.

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
from tljax.core.errors import ConfigError
from tljax.core.layer_groups import Groups
from tljax.core.options import POSITIVE, SHARE, Option, Rule
from tljax.core.trees import flatten, unflatten
from tljax.core.types import Params, Phase
from tljax.transfer import added_parameters

PRETRAINED = True
JOINT = "/qkv/kernel"  # a kernel of queries, keys and values side by side: (D, 3 D)
PARTS: Rule = ("'' or different letters of qkv", lambda x: set(x) <= set("qkv") and len(set(x)) == len(x))
OPTIONS = {
    "rank": Option(8, "r; 8 as for RoBERTa base in the paper.", POSITIVE, was="lora_rank"),
    "alpha": Option(8.0, "An update is multiplied by alpha / rank; 8 as in the paper.", POSITIVE, was="lora_alpha"),
    "rslora": Option(False, "alpha is divided by the root of the rank instead (arXiv 2312.03732)."),
    "b_ratio": Option(1.0, "B's rate as a multiple of A's; 16 is LoRA+ (arXiv 2402.12354).", POSITIVE),
    "qkv": Option(
        "", "Parts of a joint qkv kernel that get an update each, 'qv' in the paper; '': one for all.", PARTS
    ),
    "dropout": Option(0.0, "Share of A's inputs dropped in a step; paper: 0.1 for GPT-2.", SHARE, was="lora_dropout"),
    "kernels": Option("backbone/.*/kernel", "The kernels that get an update, chosen as in config.groups."),
    "backbone_scale": Option(1.0, "Scale of what learns in the backbone; the head's is 1.", POSITIVE),
}


def initialize(
    params: Params, groups: Groups, config: ConfigDict, *, stages: Sequence[str], seed: int
) -> tuple[Params, Groups]:
    """The parameters with "lora", {..."kernel": {"a": (inputs, rank), "b": (rank, outputs)}}, in a group of its own.

    With `config.b_ratio`, those called "b" are in the group "lora_b".

    Raises:
      ConfigError: `config.kernels` chooses none, or with `config.qkv` no joint one; a group is called "lora", or the
        head has none of its own.
    """
    chosen, rank = added_parameters.kernels(params, stages, config.kernels), config.rank
    shapes: dict[str, tuple[int, int]] = {}  # path -> (inputs, outputs) of its update
    for path, kernel in chosen.items():
        inputs, outputs = math.prod(kernel.shape[:-1]), kernel.shape[-1]
        parts = config.qkv if path.endswith(JOINT) else ""
        shapes |= {f"{path}/{part}": (inputs, outputs // 3) for part in parts} or {path: (inputs, outputs)}
    if config.qkv and shapes.keys() == chosen.keys():
        raise ConfigError(
            f"config.strategy.qkv='{config.qkv}' needs joint kernels of queries, keys and values, called qkv/kernel, "
            f"among config.strategy.kernels; there are {', '.join(chosen)}. Choose projections by kernels, and leave "
            f"qkv empty."
        )
    keys, leaves = added_parameters.keyed(jax.random.key(seed), shapes), {}
    for path, (inputs, outputs) in shapes.items():
        bound = inputs**-0.5
        leaves[f"{path}/a"] = np.array(jax.random.uniform(keys[path], (inputs, rank), minval=-bound, maxval=bound))
        leaves[f"{path}/b"] = np.zeros((rank, outputs), np.float32)
    params, groups = added_parameters.add(params, groups, "lora", leaves)
    if config.b_ratio != 1:
        groups = layer_groups.carve(groups, "b", {path for path in groups["lora"] if path.endswith("/b")})
    return params, groups


def plan(groups: Groups, config: ConfigDict) -> tuple[Phase, ...]:
    """One phase: "lora" at `config.backbone_scale`, "lora_b" faster by `config.b_ratio`, the head at 1."""
    own = {"lora": config.backbone_scale, "lora_b": config.backbone_scale * config.b_ratio}
    scales = {group: own.get(group, 0.0) for group in groups}
    return (Phase("lora", 1.0, scales | {layer_groups.head(groups): 1.0}),)


def effective(params: Params, config: ConfigDict, rng: jax.Array | None = None) -> Params:
    """The backbone with its updates added, and the head."""
    backbone, factors = flatten(params["backbone"]), flatten(params["lora"])
    paths = [path.removesuffix("/a") for path in factors if path.endswith("/a")]
    keys = added_parameters.keyed(rng, paths) if rng is not None and config.dropout else {}
    factor = config.alpha / (math.sqrt(config.rank) if config.rslora else config.rank)
    for path in paths:
        a, b = factors[f"{path}/a"], factors[f"{path}/b"]
        if keys:
            keep = jax.random.bernoulli(keys[path], 1 - config.dropout, (a.shape[0], 1))
            a = jnp.where(keep, a / (1 - config.dropout), 0)
        update = factor * (a @ b)  # (inputs, outputs)
        if path in backbone:
            backbone[path] = backbone[path] + update.reshape(backbone[path].shape)
        else:  # of one part: (D, D) of (D, 3 D)
            kernel, _, part = path.rpartition("/")
            begin = "qkv".index(part) * b.shape[1]
            backbone[kernel] = backbone[kernel].at[:, begin : begin + b.shape[1]].add(update)
    return {"backbone": unflatten(backbone), "head": params["head"]}
