"""Fine-tuning: pretrained weights, everything learns at one rate."""

from collections.abc import Sequence
from typing import Any

from tljax.types import Phase

PRETRAINED = True


def plan(groups: Sequence[str], config: Any) -> tuple[Phase, ...]:
    """One phase, every group at scale 1."""
    del config
    return (Phase("full", 1.0, dict.fromkeys(groups, 1.0)),)
