"""A learning-rate scale for every group: frozen (0), low, high, or any numbers.

Discriminative fine-tuning in the sense of Howard & Ruder 2018 (ULMFiT), section 3.2: with SGD a group g moves by
-scale_g lr grad_g. There are no default scales, because groups depend on the network.
"""

import math

from ml_collections import ConfigDict

from tljax.core.errors import ConfigError
from tljax.core.layer_groups import Groups
from tljax.core.options import NOT_NEGATIVE, Option
from tljax.core.types import Phase

PRETRAINED = True
OPTIONS = {
    "scales": Option({}, "Group -> factor on optimizer.lr; 0 is frozen.", NOT_NEGATIVE),
}


def plan(groups: Groups, config: ConfigDict) -> tuple[Phase, ...]:
    """One phase with the scales of `config.scales`, which must name every group.

    Raises:
      ConfigError: a group has no scale, a scale has no group, a scale is not a number >= 0, or all are 0.
    """
    scales = {name: float(scale) for name, scale in config.scales.items()}
    problems = {
        "groups without a scale": [group for group in groups if group not in scales],
        "scales without a group": [name for name in scales if name not in groups],
        "scales that are not numbers >= 0": [
            f"{name}={scale}" for name, scale in scales.items() if not (math.isfinite(scale) and scale >= 0)
        ],
    }
    if any(problems.values()):
        lines = [f"  {problem}: {', '.join(names)}" for problem, names in problems.items() if names]
        raise ConfigError(
            "config.strategy.scales must give every group one number >= 0 (0: frozen):\n"
            + "\n".join(lines)
            + f"\nThe groups are {', '.join(groups)}."
        )
    if not any(scales.values()):
        raise ConfigError("config.strategy.scales must let a group learn; all are 0.")
    return (Phase("groups", 1.0, {group: scales[group] for group in groups}),)
