"""Parallel residual adapters (Rebuffi et al. 2018): a 1x1 convolution beside every convolution, and the head, learn.

With filters f, adapter a and input x a layer computes f * x + a * x. A 1x1 convolution of the same stride is the tap
at a kernel's centre, so the sum is one convolution with a added there: exactly so in training, in evaluation and in
what is exported. The adapters start at 0, the pretrained function. As in the paper's code the normalisation learns
too where there is any (`adapter_norms`), and its statistics follow the data; it recommends a strong weight decay for
adapters of small data sets, which pulls towards the pretrained network: see optimizer.weight_decay.

A dense layer is a 1x1 convolution of one position, and gets an adapter of its own size: on a transformer choose fewer
kernels, or lora. So does a kernel of even size, which has no centre: in these networks patches side by side, a dense
layer on each. VGG's fc6 counts as the 7x7 convolution that it is.
"""

from collections.abc import Sequence
from types import EllipsisType

import jax
import numpy as np
from ml_collections import ConfigDict

from tljax.core import layer_groups
from tljax.core.layer_groups import Groups
from tljax.core.options import POSITIVE, Option
from tljax.core.trees import flatten, unflatten
from tljax.core.types import Params, Phase
from tljax.transfer import added_parameters

PRETRAINED = True
OPTIONS = {
    "norms": Option(True, "Normalisation learns too, as in the paper.", was="adapter_norms"),
    "kernels": Option("backbone/.*/kernel", "The kernels that it is about, chosen as in config.groups."),
    "backbone_scale": Option(1.0, "Scale of what learns in the backbone; the head's is 1.", POSITIVE),
}


def begin(
    params: Params, groups: Groups, config: ConfigDict, *, stages: Sequence[str], seed: int
) -> tuple[Params, Groups]:
    """The parameters with "adapter", zeros in a group of its own; normalisation in groups "<group>_norms".

    Raises:
      ConfigError: `config.kernels` chooses none, a group's name is taken, or the head has no group of its own.
    """
    del seed
    chosen = added_parameters.kernels(params, stages, config.kernels)
    norms = layer_groups.norms(groups)
    if config.norms and norms:
        groups = layer_groups.carve(groups, "norms", norms)
    leaves = {path: np.zeros(kernel[_centre(kernel)].shape, np.float32) for path, kernel in chosen.items()}
    return added_parameters.add(params, groups, "adapter", leaves)


def plan(groups: Groups, config: ConfigDict) -> tuple[Phase, ...]:
    """One phase: adapters (and normalisation) at `config.backbone_scale`, the head at 1, all else frozen."""
    norms = layer_groups.norms(groups) if config.norms else frozenset()
    learning = {group for group, paths in groups.items() if group == "adapter" or norms.issuperset(paths)}
    scales = {group: config.backbone_scale * (group in learning) for group in groups}
    return (Phase("adapter", 1.0, scales | {layer_groups.head(groups): 1.0}),)


def effective(params: Params, config: ConfigDict, rng: jax.Array | None = None) -> Params:
    """The backbone with every adapter added to its kernel's centre, and the head."""
    del config, rng
    backbone = flatten(params["backbone"])
    for path, adapter in flatten(params["adapter"]).items():
        backbone[path] = backbone[path].at[_centre(backbone[path])].add(adapter)
    return {"backbone": unflatten(backbone), "head": params["head"]}


def _centre(kernel: np.ndarray | jax.Array) -> tuple[int | EllipsisType, ...]:
    """Where the adapter lies: the (C, D) in the middle of a (K, K, C, D) of odd K; else all of the kernel."""
    height, width = kernel.shape[:2]
    return (height // 2, width // 2) if kernel.ndim == 4 and height % 2 and width % 2 else (...,)
