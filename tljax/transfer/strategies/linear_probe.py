"""Linear probe (Alain & Bengio 2016): the pretrained backbone is frozen, a new head learns.

logits = W h(x) + b, where h is fixed, and W and b learn. It has no options.
"""

from ml_collections import ConfigDict

from tljax.core import layer_groups
from tljax.core.layer_groups import Groups
from tljax.core.types import Phase

PRETRAINED = True


def plan(groups: Groups, config: ConfigDict) -> tuple[Phase, ...]:
    """One phase, the head's group at scale 1, all others frozen.

    Raises:
      ConfigError: the head has no group of its own.
    """
    del config
    head = layer_groups.head(groups)
    return (Phase("linear_probe", 1.0, {group: float(group == head) for group in groups}),)
