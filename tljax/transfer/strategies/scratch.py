"""Training from scratch: random weights, everything learns. The baseline that every transfer must beat.

He et al. 2019 ("Rethinking ImageNet Pre-training") find that it can be as good as transfer, with many examples and many
more epochs: compare with a run that is long enough. Initial values are those of each family; it has no options.
"""

from ml_collections import ConfigDict

from tljax.core.layer_groups import Groups
from tljax.core.types import Phase

PRETRAINED = False  # of model.weights only the card is used, for preprocessing


def plan(groups: Groups, config: ConfigDict) -> tuple[Phase, ...]:
    """One phase, every group at scale 1."""
    del config
    return (Phase("scratch", 1.0, dict.fromkeys(groups, 1.0)),)
