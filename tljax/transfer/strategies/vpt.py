"""Visual prompt tuning (Jia et al. 2022, arXiv 2203.12119): learned tokens beside those of the picture, and the head.

With prompts P of p tokens before the class token x and the patches E, blocks L_i compute (the paper's equations 4, 6)

    deep:     [_, x_i, E_i]   = L_i([P_{i-1}, x_{i-1}, E_{i-1}]),    every block has prompts of its own;
    shallow:  [Z_i, x_i, E_i] = L_i([Z_{i-1}, x_{i-1}, E_{i-1}]),    Z_0 = P, prompts of the first block alone.

Prompts are no pixels: they get no position embedding, are not rotated, and the head never reads them. Where they stand
among the tokens does not matter to attention; the authors put them behind the class token. They begin uniform in
+-sqrt(6 / (3 patch^2 + width)), as in the authors' code, and not at the pretrained network: each prompt takes a share
of every token's attention from the first step on. p = 5 is the default of the authors' code; the paper chooses among 1
to 200 on validation. deep is the paper's better form.

The network has the prompts as a part of its variant (`networks.vision_transformer`), so model/ is loaded, transferred
and evaluated as any other. They do not merge into other arrays: `tljax export` writes the program (StableHLO, ONNX) or
arrays (flax, npz), and refuses the names of timm, which has no such tokens.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from ml_collections import ConfigDict

from tljax.core import layer_groups
from tljax.core.errors import ConfigError
from tljax.core.layer_groups import Groups
from tljax.core.options import POSITIVE, Option
from tljax.core.types import NetworkSizes, Params, Phase

PRETRAINED = True
OPTIONS = {
    "prompts": Option(5, "Number of prompts of a block; 5 in the authors' code.", POSITIVE),
    "deep": Option(True, "Every block has prompts of its own; False: the first block alone."),
    "backbone_scale": Option(1.0, "Scale of the prompts; the head's is 1.", POSITIVE),
}


def variant(sizes: NetworkSizes, config: ConfigDict) -> NetworkSizes:
    """The sizes with prompts. Weights of a run with as many prompts keep theirs.

    Raises:
      ConfigError: the family has no prompts, or the weights have others.
    """
    vit: Any = sizes
    if not hasattr(vit, "prompts"):
        raise ConfigError(
            "config.strategy.name=vpt needs a vision transformer, config.model.family=vit: networks of another family "
            "take no prompts. Choose one, or lora, ssf or bitfit, which fit every network."
        )
    theirs, ours = (vit.prompts, vit.deep_prompts), (config.prompts, config.deep)
    if vit.prompts and theirs != ours:
        raise ConfigError(
            f"The weights of a network with prompts must keep them: config.strategy.prompts={vit.prompts} and "
            f"deep={vit.deep_prompts}; got {config.prompts} and {config.deep}. Set these, or begin from other weights."
        )
    return dataclasses.replace(vit, prompts=config.prompts, deep_prompts=config.deep)


def initialize(
    params: Params, groups: Groups, config: ConfigDict, *, stages: Sequence[str], seed: int
) -> tuple[Params, Groups]:
    """The same parameters, with the prompts of all blocks in a group "vpt" before the head's.

    Raises:
      ConfigError: a group is called "vpt", or the head has none of its own.
    """
    del config, stages, seed
    last = layer_groups.head(groups)
    if "vpt" in groups:
        raise ConfigError("This strategy adds a group 'vpt'; give yours in config.groups another name.")
    ours = tuple(path for paths in groups.values() for path in paths if path.endswith("/prompts"))
    rest = {group: tuple(path for path in paths if path not in ours) for group, paths in groups.items()}
    others = {group: paths for group, paths in rest.items() if paths and group != last}
    return params, {**others, "vpt": ours, last: groups[last]}


def plan(groups: Groups, config: ConfigDict) -> tuple[Phase, ...]:
    """One phase: the prompts at `config.backbone_scale`, the head at 1, all else frozen."""
    scales = {group: config.backbone_scale * (group == "vpt") for group in groups}
    return (Phase("vpt", 1.0, scales | {layer_groups.head(groups): 1.0}),)
