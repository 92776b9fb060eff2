"""Parallel residual adapters (Rebuffi et al. 2018): a 1x1 convolution beside every convolution, and the head, learn.

With filters f, adapter a and input x, a layer computes f * x + a * x. A 1x1 convolution with the same stride acts at
the kernel's centre, so the sum is one convolution with a added at the centre. This is exact, in training, in evaluation
and in the exported model. The adapters start at 0: the network starts as the pretrained one. As in the paper's code,
normalisation learns too (`adapter_norms`), and its statistics are updated. For small data sets the paper recommends a
strong weight decay of the adapters, which pulls towards the pretrained network: see optimizer.weight_decay.

A dense layer is a 1x1 convolution on one position, so its adapter is as large as its kernel: on a transformer choose
fewer kernels, or lora. A kernel of even size has no centre; its adapter is as large as the kernel too. In our networks
such kernels divide the map into patches, with a dense layer on each. VGG's fc6 is handled as a 7x7 convolution.
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
    "kernels": Option("backbone/.*/kernel", "The kernels that get an adapter, chosen as in config.groups."),
    "backbone_scale": Option(1.0, "Scale of what learns in the backbone; the head's is 1.", POSITIVE),
}


def initialize(
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
    """The adapter's place in its kernel: the central (C, D) of a (K, K, C, D) with odd K; else the whole kernel."""
    height, width = kernel.shape[:2]
    return (height // 2, width // 2) if kernel.ndim == 4 and height % 2 and width % 2 else (...,)
