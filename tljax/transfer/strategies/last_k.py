"""The last k stages and the head learn; earlier stages are frozen.

Long et al. 2015 (DAN) freeze the first three convolutions and train the later layers, because early features are
general and late ones specific (Yosinski et al. 2014). k counts groups, which by default are stages. A group of
normalisation alone, as the last one of a ViT, learns with the group before it, and is not counted: with k = 1 little
more than a linear probe would be left. The default is 1, the smallest number that is more than that.
"""

from ml_collections import ConfigDict

from tljax.core import layer_groups
from tljax.core.errors import ConfigError
from tljax.core.layer_groups import Groups
from tljax.core.options import Option
from tljax.core.types import Phase

PRETRAINED = True
OPTIONS = {
    "last_k": Option(1, "Groups before the head that learn; those of normalisation alone are not counted."),
}


def plan(groups: Groups, config: ConfigDict) -> tuple[Phase, ...]:
    """One phase: the last group (the head) and `config.last_k` groups before it at scale 1.

    Raises:
      ConfigError: there are fewer groups, or the head has no group of its own.
    """
    head, norms = layer_groups.head(groups), layer_groups.norms(groups)
    counted = [group for group, paths in groups.items() if group != head and not norms.issuperset(paths)]
    if not 0 <= config.last_k <= len(counted):
        raise ConfigError(
            f"config.strategy.last_k must be 0 to {len(counted)}, the number of groups before the head that are more "
            f"than normalisation ({', '.join(counted)}); got {config.last_k}."
        )
    names = tuple(groups)
    first = names.index(counted[-config.last_k] if config.last_k else head)
    return (Phase(f"last {config.last_k}", 1.0, {group: float(i >= first) for i, group in enumerate(names)}),)
