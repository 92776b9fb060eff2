"""Linear probe (Alain & Bengio 2016): the pretrained backbone stays as it is, a new head learns."""

from collections.abc import Sequence
from typing import Any

from tljax.errors import ConfigError
from tljax.types import Phase

PRETRAINED = True


def plan(groups: Sequence[str], config: Any) -> tuple[Phase, ...]:
    """One phase, the group "head" at scale 1, all others frozen.

    Raises:
      ConfigError: no group is called "head".
    """
    del config
    if "head" not in groups:
        raise ConfigError(f"strategy 'linear_probe' needs a group named 'head'; got {', '.join(groups)}.")
    return (Phase("linear_probe", 1.0, {group: float(group == "head") for group in groups}),)
