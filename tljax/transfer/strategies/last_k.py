"""The last k stages and the head learn; earlier stages are frozen.

Long et al. 2015 (DAN) freeze the first three convolutions and train the later layers, because early features are
general and late ones specific (Yosinski et al. 2014). k counts groups, which by default are stages. The default is 1,
the smallest number that is more than a linear probe.
"""

from ml_collections import ConfigDict

from tljax.core import layer_groups
from tljax.core.errors import ConfigError
from tljax.core.layer_groups import Groups
from tljax.core.options import Option
from tljax.core.types import Phase

PRETRAINED = True
OPTIONS = {
    "last_k": Option(1, "Groups before the head that learn."),
}


def plan(groups: Groups, config: ConfigDict) -> tuple[Phase, ...]:
    """One phase: the last group (the head) and `config.last_k` groups before it at scale 1.

    Raises:
      ConfigError: there are fewer groups, or the head has no group of its own.
    """
    layer_groups.head(groups)
    if not 0 <= config.last_k < len(groups):
        raise ConfigError(
            f"config.strategy.last_k must be 0 to {len(groups) - 1}, the number of groups before the head "
            f"({', '.join(groups)}); got {config.last_k}."
        )
    first = len(groups) - 1 - config.last_k
    return (Phase(f"last {config.last_k}", 1.0, {group: float(i >= first) for i, group in enumerate(groups)}),)
