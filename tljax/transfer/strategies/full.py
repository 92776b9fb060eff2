"""Fine-tuning: pretrained weights, everything learns at one rate.

Girshick et al. 2014 (R-CNN), section 2.3, use a tenth of the pretraining rate. The only key is optimizer.lr; its
default 0.01 is a tenth of the 0.1 with which networks are trained on ImageNet by SGD.
"""

from ml_collections import ConfigDict

from tljax.core.layer_groups import Groups
from tljax.core.types import Phase

PRETRAINED = True


def plan(groups: Groups, config: ConfigDict) -> tuple[Phase, ...]:
    """One phase, every group at scale 1."""
    del config
    return (Phase("full", 1.0, dict.fromkeys(groups, 1.0)),)
