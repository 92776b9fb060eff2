"""Each earlier group learns slower by one factor: scale = factor ** (groups between it and the head).

Howard & Ruder 2018 (ULMFiT), section 3.2, divide by 2.6 a layer; Clark et al. 2020 (ELECTRA), table 7, and
Bao et al. 2021 (BEiT) multiply by 0.65 to 0.9 a block; the slides say 3 to 10 times slower a stage. The
default, 0.3, is the slides' for stages; for the blocks of a transformer set 0.65 to 0.9.
"""

from typing import Any

from tljax.core import layer_groups
from tljax.core.errors import ConfigError
from tljax.core.layer_groups import Groups
from tljax.core.types import Phase

PRETRAINED = True


def plan(groups: Groups, config: Any) -> tuple[Phase, ...]:
    """One phase: the last group at scale 1, each one before it at `config.layer_decay` times the next.

    Raises:
      ConfigError: the factor is not in (0, 1], or the head has no group of its own.
    """
    factor = config.layer_decay
    if not 0 < factor <= 1:
        raise ConfigError(f"config.strategy.layer_decay must be in (0, 1]; got {factor}.")
    layer_groups.head(groups)
    last = len(groups) - 1
    return (Phase("layer_decay", 1.0, {group: factor ** (last - i) for i, group in enumerate(groups)}),)
