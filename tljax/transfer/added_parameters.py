"""Parameters that a strategy adds beside "backbone" and "head": one set for each chosen kernel, in a separate group."""

import zlib
from collections.abc import Iterable, Mapping, Sequence

import jax
import numpy as np
from ml_collections import ConfigDict

from tljax.core import layer_groups
from tljax.core.errors import ConfigError
from tljax.core.layer_groups import Groups
from tljax.core.trees import flatten, unflatten
from tljax.core.types import Params, Phase


def kernels(params: Params, stages: Sequence[str], words: str) -> dict[str, np.ndarray]:
    """The backbone's kernels that `words` (config.strategy.kernels) choose: path below "backbone/" -> kernel."""
    return weights(params, stages, words, key="kernels", leaves=("kernel",))


def weights(
    params: Params, stages: Sequence[str], words: str, *, key: str, leaves: Sequence[str]
) -> dict[str, np.ndarray]:
    """The backbone's arrays called one of `leaves` that `words` choose: path below "backbone/" -> array.

    Args:
      stages: the backbone's stages, input first.
      words: as in config.groups, stages ("stem"), ranges of stages ("stem..stage2") or patterns of whole
        paths ("backbone/.*/conv1/kernel"); of the matching parameters, only those called one of `leaves` are taken.
      key: the option in config.strategy that holds `words`.

    Raises:
      ConfigError: a word chooses none; all such words are listed.
    """
    key, kinds = f"config.strategy.{key}", " or ".join(f"{leaf}s" for leaf in leaves)
    ours = {f"backbone/{p}": x for p, x in flatten(params["backbone"]).items() if p.rpartition("/")[2] in leaves}
    matches = {word: layer_groups.chosen(word, tuple(ours), stages, key) for word in words.split()}
    unmatched = [layer_groups.advice(word, stages) for word in matches if not matches[word]]
    order = layer_groups.network_order(tuple(ours), stages)
    if unmatched or not matches:
        raise ConfigError(
            f"{key} must choose {kinds} of the backbone: {'; '.join(unmatched) or 'it is empty'}.\n"
            f"The stages are {', '.join(stages)}; the {kinds} are {', '.join(order)}."
        )
    chosen_paths = set().union(*matches.values())
    return {path.removeprefix("backbone/"): ours[path] for path in order if path in chosen_paths}


def add(params: Params, groups: Groups, name: str, leaves: Mapping[str, np.ndarray]) -> tuple[Params, Groups]:
    """The parameters with `leaves` (path -> array) at params[name], and a group `name` of them before the head's.

    Raises:
      ConfigError: the group's name is taken, or the head has no group of its own.
    """
    last = layer_groups.head(groups)
    if name in groups:
        raise ConfigError(f"This strategy adds a group '{name}'; give yours in config.groups another name.")
    others = {group: paths for group, paths in groups.items() if group != last}
    ours = tuple(f"{name}/{path}" for path in leaves)
    return {**params, name: unflatten(leaves)}, {**others, name: ours, last: groups[last]}


def start(
    params: Params, groups: Groups, config: ConfigDict, *, stages: Sequence[str], seed: int
) -> tuple[Params, Groups]:
    """A strategy's `initialize`: the parameters with "start", a copy of the chosen kernels, in its own group.

    Args:
      config: config.strategy; `kernels` is used.

    Raises:
      ConfigError: see `kernels` and `add`.
    """
    del seed
    chosen = kernels(params, stages, config.kernels)
    return add(params, groups, "start", {path: np.array(kernel) for path, kernel in chosen.items()})


def from_start(name: str, groups: Groups, backbone_scale: float) -> tuple[Phase, ...]:
    """One phase `name`: the backbone at `backbone_scale`, the head at 1, "start" frozen."""
    scales = {group: backbone_scale * (group != "start") for group in groups}
    return (Phase(name, 1.0, scales | {layer_groups.head(groups): 1.0}),)


def network(params: Params) -> Params:
    """The network's own parameters, without added ones."""
    return {"backbone": params["backbone"], "head": params["head"]}


def keyed(rng: jax.Array, paths: Iterable[str]) -> dict[str, jax.Array]:
    """A key for every path, which does not depend on the others."""
    return {path: jax.random.fold_in(rng, np.uint32(zlib.crc32(path.encode()))) for path in paths}
