"""The head first, then stage after stage from the top, then all (Howard & Ruder 2018, ULMFiT, section 3.3).

Over the share `unfreeze_share` of the run one more group begins to learn at equal intervals, last groups
first; for the rest of the run all learn. A group that has begun goes on with its optimizer state.
"""

from typing import Any

from tljax import layer_groups
from tljax.errors import ConfigError
from tljax.layer_groups import Groups
from tljax.types import Phase

PRETRAINED = True


def plan(groups: Groups, config: Any) -> tuple[Phase, ...]:
    """As many phases as groups; scales as in `layer_decay`, with a factor of 1 all equal.

    Raises:
      ConfigError: the share is not in (0, 1), the factor not in (0, 1], or the head has no group of its own.
    """
    share, factor, last = config.unfreeze_share, config.layer_decay, len(groups) - 1
    if not 0 < share < 1 or not 0 < factor <= 1:
        raise ConfigError(
            f"config.strategy.unfreeze_share must be in (0, 1) and config.strategy.layer_decay in (0, 1]; "
            f"got {share} and {factor}."
        )
    layer_groups.head(groups)
    order, phases = list(groups), []
    for awake in range(1, len(groups) + 1):
        scales = {group: factor ** (last - i) if last - i < awake else 0.0 for i, group in enumerate(groups)}
        until = 1.0 if awake == len(groups) else share * awake / last
        phases.append(Phase(f"from {order[-awake]}", until, scales))
    return tuple(phases)
