"""BitFit (Ben Zaken et al. 2022): only the biases and the head learn.

Biases are all parameters called bias: of convolutions, dense layers, attention, and normalisation (the shift), as in
the paper's list for BERT. Every group is split, "stage1" into "stage1" (frozen) and "stage1_biases". A ResNet's only
biases are the shifts of BatchNorm; because these learn, BatchNorm's statistics are updated too. The paper uses rates of
1e-4 to 1e-3 (AdamW); for full fine-tuning it uses 1e-5 to 5e-5.
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
      ConfigError: the backbone has no biases, a name "<group>_biases" is taken, or the head has no group of its own.
    """
    del config, stages, seed
    biases = {path for paths in groups.values() for path in paths if _is_bias(path)}
    return params, layer_groups.carve(groups, "biases", biases)


def plan(groups: Groups, config: ConfigDict) -> tuple[Phase, ...]:
    """One phase: groups of biases at `config.backbone_scale`, the head at 1, all others frozen."""
    scales = {group: config.backbone_scale * all(map(_is_bias, paths)) for group, paths in groups.items()}
    return (Phase("bitfit", 1.0, scales | {layer_groups.head(groups): 1.0}),)


def _is_bias(path: str) -> bool:
    return path.endswith("/bias")
