"""A linear probe, then fine-tuning from it (Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features").

With a random head the first gradients are large and arbitrary, and move features that were good; once the
head fits, they are small.
"""

from collections.abc import Sequence
from typing import Any

from tljax.errors import ConfigError
from tljax.types import Phase

PRETRAINED = True


def plan(groups: Sequence[str], config: Any) -> tuple[Phase, ...]:
    """The head alone for the share `config.probe_share`, then all groups, the backbone at `config.tune_scale`.

    Raises:
      ConfigError: no group "head", a share not in (0, 1), a scale that is not above 0.
    """
    share, scale = config.probe_share, config.tune_scale
    if "head" not in groups or not 0 < share < 1 or not scale > 0:
        raise ConfigError(
            f"strategy 'lp_ft' needs a group named 'head', config.strategy.probe_share in (0, 1) and "
            f"config.strategy.tune_scale > 0; got {', '.join(groups)}, {share} and {scale}."
        )
    probe = {group: float(group == "head") for group in groups}
    tune = {group: 1.0 if group == "head" else scale for group in groups}
    return (Phase("probe", share, probe), Phase("tune", 1.0, tune))
