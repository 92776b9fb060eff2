"""Fine-tuning: pretrained weights, everything learns at one rate."""

from typing import Any

from tljax.layer_groups import Groups
from tljax.types import Phase

PRETRAINED = True


def plan(groups: Groups, config: Any) -> tuple[Phase, ...]:
    """One phase, every group at scale 1."""
    del config
    return (Phase("full", 1.0, dict.fromkeys(groups, 1.0)),)
