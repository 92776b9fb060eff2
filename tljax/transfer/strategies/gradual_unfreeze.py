"""The head first, then stage after stage from the top, then all (Howard & Ruder 2018, ULMFiT, section 3.3).

Over the share `unfreeze_share` of the run, one more group begins to learn at equal intervals, last groups first; for
the rest of the run all groups learn. A group that learns already keeps its optimizer state. In the paper one more group
begins every epoch; our default is half of the run, for any number of groups.

`unfreeze` "dense_conv_full" has three steps instead: first the head and the dense stages before it (those named fc...,
as VGG's fc6 and fc7), then also the later half of the other groups, then all.
"""

from ml_collections import ConfigDict

from tljax.core import layer_groups
from tljax.core.errors import ConfigError
from tljax.core.layer_groups import Groups
from tljax.core.options import Option
from tljax.core.types import Phase
from tljax.transfer import layer_rates

PRETRAINED = True
OPTIONS = {
    "layer_decay": Option(0.0, "Factor from each group to the one before it; 0: chosen by their number."),
    "unfreeze_share": Option(0.5, "Share of the run over which groups begin to learn."),
    "unfreeze": Option("each", "The order: each group from the head on, or dense_conv_full, in three steps."),
}


ORDERS = ("each", "dense_conv_full")


def plan(groups: Groups, config: ConfigDict) -> tuple[Phase, ...]:
    """One phase for each step of unfreezing; scales as in `layer_decay` (a factor of 1 makes all equal).

    Raises:
      ConfigError: the share is not in (0, 1), the factor is not in [0, 1], `unfreeze` has no such order, or the head
        has no group of its own.
    """
    share, decay, last = config.unfreeze_share, config.layer_decay, len(groups) - 1
    if not 0 < share < 1 or not 0 <= decay <= 1 or config.unfreeze not in ORDERS:
        raise ConfigError(
            f"config.strategy.unfreeze_share must be in (0, 1), config.strategy.layer_decay in [0, 1] and "
            f"config.strategy.unfreeze one of {', '.join(ORDERS)}; got {share}, {decay} and '{config.unfreeze}'."
        )
    layer_groups.head(groups)
    order, phases = list(groups), []
    factor, note = layer_rates.factor(decay, groups), layer_rates.note(decay, groups)
    beginnings = _dense_conv_full(groups) if config.unfreeze == "dense_conv_full" else tuple(range(1, len(groups) + 1))
    for number, awake in enumerate(beginnings, start=1):
        scales = {group: factor ** (last - i) if last - i < awake else 0.0 for i, group in enumerate(groups)}
        until = 1.0 if number == len(beginnings) else share * number / (len(beginnings) - 1)
        phases.append(Phase(f"from {order[-awake]}{note}", until, scales))
    return tuple(phases)


def _dense_conv_full(groups: Groups) -> tuple[int, ...]:
    """The number of groups, counted from the head, that learn in each phase; equal numbers make one phase."""
    dense = 1
    for paths in reversed(list(groups.values())[:-1]):
        if not all(layer_groups.stage_of(path).startswith("fc") for path in paths):
            break
        dense += 1
    half = dense + -(-(len(groups) - dense) // 2)
    return tuple(dict.fromkeys((dense, half, len(groups))))
