"""The weight decay that every group will have, for the table before the first step."""

import math
from collections.abc import Mapping, Sequence

import optax

from tljax.core.trees import flatten, unflatten
from tljax.core.types import Params, Tree
from tljax.training.group_settings import Setting
from tljax.training.optimizers import nature as optimizer_nature
from tljax.training.optimizers import transform
from tljax.training.optimizers import trial as optimizer_trial


def said(setting: Setting, params: Params, paths: Sequence[str]) -> str:
    """The weight decay of a group: "0.01", "0.01 in 3 of 6" parameters, "0.0001 (built in)", "unknown (built in)".

    Args:
      params: the run's parameters; only names and numbers of axes matter.
      paths: the paths of the group's parameters.
    """
    nature, leaves = optimizer_nature.of(setting), flatten(params)
    kernels = [path for path in paths if setting.decay_norms_and_biases or leaves[path].ndim > 1]
    if nature.of_optax and nature.decays:
        return "unknown (built in)"
    if nature.of_optax or not (nature.takes_decay or nature.decays):
        return _in(f"{setting.weight_decay:g}", len(kernels) if setting.weight_decay else 0, len(paths))
    decays = optimizer_trial.decays(lambda rate: transform.make(setting, rate), _masked(leaves, paths))
    return _measured(list(decays.values()), setting.weight_decay)


def _masked(leaves: Mapping[str, Tree], paths: Sequence[str]) -> Params:
    """A small tree for the group's optimizer: the paths of the run, with MaskedNode outside of the group."""
    masked = optax.MaskedNode()
    return optimizer_trial.shrunk(unflatten({path: x if path in paths else masked for path, x in leaves.items()}))


def _measured(decays: Sequence[float], asked: float) -> str:
    moving = [value for value in decays if value != 0]
    if any(math.isnan(value) or not math.isclose(value, moving[0], rel_tol=1e-3) for value in moving):
        return f"unknown (weight_decay {asked:g})" if asked else "unknown (built in)"
    if not moving:
        return "0"
    as_asked = math.isclose(moving[0], asked, rel_tol=1e-3)
    value = _in(f"{asked:g}" if as_asked else f"{moving[0]:.3g}", len(moving), len(decays))
    return value if as_asked else f"{value} (built in)"


def _in(value: str, some: int, all_of_them: int) -> str:
    return "0" if not some else value if some == all_of_them else f"{value} in {some} of {all_of_them}"
