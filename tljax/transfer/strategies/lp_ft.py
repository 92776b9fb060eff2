"""A linear probe, then fine-tuning from it (Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features").

With a random head the first gradients are large and arbitrary, and damage good features; when the head fits, they are
small. The paper trains the probe until it converges, and chooses both rates on a validation part. Our defaults are half
of the run for the probe, and a tenth of the head's rate for the backbone.
"""

import math

from ml_collections import ConfigDict

from tljax.core import layer_groups
from tljax.core.errors import ConfigError
from tljax.core.layer_groups import Groups
from tljax.core.options import Option
from tljax.core.types import Phase

PRETRAINED = True
OPTIONS = {
    "probe_share": Option(0.5, "Share of the run in which only the head learns."),
    "tune_scale": Option(0.1, "The backbone's scale after that."),
}


def plan(groups: Groups, config: ConfigDict) -> tuple[Phase, ...]:
    """The head alone for the share `config.probe_share`, then all groups, the backbone at `config.tune_scale`.

    Raises:
      ConfigError: the head has no group of its own, the share is not in (0, 1), or the scale is not above 0.
    """
    share, scale = config.probe_share, config.tune_scale
    if not 0 < share < 1 or not (math.isfinite(scale) and scale > 0):
        raise ConfigError(
            f"strategy 'lp_ft' needs config.strategy.probe_share in (0, 1) and "
            f"config.strategy.tune_scale > 0; got {share} and {scale}."
        )
    head = layer_groups.head(groups)
    probe = {group: float(group == head) for group in groups}
    tune = {group: 1.0 if group == head else scale for group in groups}
    return (Phase("probe", share, probe), Phase("tune", 1.0, tune))
