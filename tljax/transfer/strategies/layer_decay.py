"""Each group learns slower than the next by a factor: scale = factor ** (distance to the head in groups).

Howard & Ruder 2018 (ULMFiT), section 3.2, divide by 2.6 for each layer; Clark et al. 2020 (ELECTRA), table 7, and
Bao et al. 2021 (BEiT) multiply by 0.65 to 0.9 for each block; the slides say 3 to 10 times slower for each stage. The
default depends on the number of groups (`layer_rates.factor`): 0.3 for five stages and a head, 0.65 for a ViT-Base.
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
    decay = config.layer_decay
    if not 0 <= decay <= 1:
        raise ConfigError(f"config.strategy.layer_decay must be in (0, 1], or 0 for the default factor; got {decay}.")
    layer_groups.head(groups)
    factor, name = layer_rates.factor(decay, groups), "layer_decay" + layer_rates.note(decay, groups)
    last = len(groups) - 1
    return (Phase(name, 1.0, {group: factor ** (last - i) for i, group in enumerate(groups)}),)
