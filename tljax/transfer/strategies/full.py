"""Fine-tuning: pretrained weights, everything learns at one rate.

Girshick et al. 2014 (R-CNN), section 2.3, at a tenth of the rate that the network was pretrained with. There is no key
but optimizer.lr, whose default 0.01 is such a tenth for networks that ImageNet trained with SGD at 0.1.
"""

from ml_collections import ConfigDict

from tljax.core.layer_groups import Groups
from tljax.core.types import Phase

PRETRAINED = True


def plan(groups: Groups, config: ConfigDict) -> tuple[Phase, ...]:
    """One phase, every group at scale 1."""
    del config
    return (Phase("full", 1.0, dict.fromkeys(groups, 1.0)),)
