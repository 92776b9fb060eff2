"""Only normalisation and the head learn (Frankle et al. 2021, "Training BatchNorm and Only BatchNorm").

Normalisation means the scales and shifts of BatchNorm, LayerNorm and GroupNorm. The paper trains them in random
networks; here they are pretrained. Every group is split, "stage1" into "stage1" (frozen) and "stage1_norms". A
BatchNorm that learns uses the statistics of the batch, and its stored statistics are updated, as in the paper.
"""

from collections.abc import Sequence

from ml_collections import ConfigDict

from tljax.core import layer_groups
from tljax.core.layer_groups import Groups
from tljax.core.options import POSITIVE, Option
from tljax.core.types import Params, Phase

PRETRAINED = True
OPTIONS = {
    "backbone_scale": Option(1.0, "Scale of what learns in the backbone; the head's is 1.", POSITIVE),
}


def initialize(
    params: Params, groups: Groups, config: ConfigDict, *, stages: Sequence[str], seed: int
) -> tuple[Params, Groups]:
    """Every group of the backbone split in two.

    Raises:
      ConfigError: the backbone has no normalisation, a name "<group>_norms" is taken, or the head has no group
        of its own.
    """
    del config, stages, seed
    return params, layer_groups.carve(groups, "norms", layer_groups.norms(groups))


def plan(groups: Groups, config: ConfigDict) -> tuple[Phase, ...]:
    """One phase: groups of normalisation at `config.backbone_scale`, the head at 1, all others frozen."""
    norms = layer_groups.norms(groups)
    scales = {group: config.backbone_scale * norms.issuperset(paths) for group, paths in groups.items()}
    return (Phase("norm_only", 1.0, scales | {layer_groups.head(groups): 1.0}),)
