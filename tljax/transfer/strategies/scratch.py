"""Training from scratch: random weights, everything learns. What every transfer must beat.

He et al. 2019 ("Rethinking ImageNet Pre-training") find that it may draw level, given many examples and many more
epochs: compare at a length that suits it. Initial values are each family's own; there is no key.
"""

from ml_collections import ConfigDict

from tljax.core.layer_groups import Groups
from tljax.core.types import Phase

PRETRAINED = False  # model.weights then gives only its card, for the preprocessing


def plan(groups: Groups, config: ConfigDict) -> tuple[Phase, ...]:
    """One phase, every group at scale 1."""
    del config
    return (Phase("scratch", 1.0, dict.fromkeys(groups, 1.0)),)
