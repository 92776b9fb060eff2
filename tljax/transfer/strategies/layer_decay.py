"""Each earlier group learns slower by one factor: scale = factor ** (groups between it and the head).

Howard & Ruder 2018 (ULMFiT), section 3.2, divide by 2.6 a layer; Clark et al. 2020 (ELECTRA), table 7, and
Bao et al. 2021 (BEiT) multiply by 0.65 to 0.9 a block; the slides say 3 to 10 times slower a stage. By default the
number of groups decides (`layer_rates.factor`): 0.3 for five stages and a head, 0.65 for the blocks of a ViT-Base.
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
}


def plan(groups: Groups, config: ConfigDict) -> tuple[Phase, ...]:
    """One phase: the last group at scale 1, each one before it at `config.layer_decay` times the next (0: chosen).

    Raises:
      ConfigError: the factor is not in [0, 1], or the head has no group of its own.
    """
    given = config.layer_decay
    if not 0 <= given <= 1:
        raise ConfigError(f"config.strategy.layer_decay must be in (0, 1], or 0: by the number of groups; got {given}.")
    layer_groups.head(groups)
    factor, name = layer_rates.factor(given, groups), "layer_decay" + layer_rates.note(given, groups)
    last = len(groups) - 1
    return (Phase(name, 1.0, {group: factor ** (last - i) for i, group in enumerate(groups)}),)
