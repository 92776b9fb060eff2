"""A strategy for kills: the head, then all, then the head again: optimizer state is carried, begun and dropped."""

from ml_collections import ConfigDict

from tljax.core.layer_groups import Groups
from tljax.core.types import Phase

PRETRAINED = True


def plan(groups: Groups, config: ConfigDict) -> tuple[Phase, ...]:
    """Phases that end at 0.3, 0.7 and 1 of the run."""
    del groups, config
    return (
        Phase("head", 0.3, {"features": 0.0, "head": 1.0}),
        Phase("all", 0.7, {"features": 0.1, "head": 0.5}),
        Phase("again", 1.0, {"features": 0.0, "head": 0.1}),
    )
