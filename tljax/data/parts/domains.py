"""Other domains: the examples that training uses without labels, and those to evaluate on."""

import zlib
from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from ml_collections import ConfigDict

from tljax.core.errors import ConfigError, DataError
from tljax.core.types import Dataset
from tljax.data.parts.splits import PARTS
from tljax.data.parts.subsets import Joined, Subset

UNLABELLED = "unlabelled"  # the part whose labels training does not see
Part = TypeVar("Part")


def add(subsets: Mapping[str, Subset], dataset: Dataset, config: ConfigDict, seed: int) -> dict[str, Subset]:
    """The parts of `splits.choose`, with the part "unlabelled" if `data.unlabelled` names splits.

    The part is a random share (`data.unlabelled_share`) of each of these splits, drawn without their labels. All its
    labels are -1, so nothing can learn from them. If one of the splits is a target too, it is evaluated on the other
    examples; with a share of 1 it is evaluated on all, which training has seen, as is usual with pictures.

    Args:
      config: config.data.

    Raises:
      ConfigError: a split does not exist or is used for another part, or a target is called "unlabelled".
      DataError: no example is left to learn from or to evaluate on.
    """
    _check(subsets, dataset, config)
    if not config.unlabelled:
        return dict(subsets)
    unlabelled = {
        name: _drawn(len(dataset.splits[name]), name, config.unlabelled_share, seed) for name in config.unlabelled
    }
    parts = dict(subsets)
    for name in unlabelled.keys() & set(config.targets) if config.unlabelled_share < 1 else ():
        parts[name] = parts[name].take(np.flatnonzero(~np.isin(parts[name].indices, unlabelled[name])))
    begins = np.cumsum([0, *(len(dataset.splits[name]) for name in unlabelled)])
    indices = np.concatenate([begin + places for begin, places in zip(begins, unlabelled.values(), strict=False)])
    joined = Joined([dataset.splits[name] for name in unlabelled])
    parts[UNLABELLED] = Subset(joined, indices, np.full(len(indices), -1, np.int32))
    if empty := [name for name in parts if not len(parts[name])]:
        raise DataError(
            f"Every domain must have examples to learn from without labels, and others to evaluate on; empty parts: "
            f"{', '.join(empty)}. Change config.data.unlabelled_share ({config.unlabelled_share:g}), or set it to 1."
        )
    return parts


def labelled(parts: Mapping[str, Part]) -> dict[str, Part]:
    """The parts with labels, to evaluate on."""
    return {name: part for name, part in parts.items() if name != UNLABELLED}


def source(config: ConfigDict) -> str:
    """The name of the source domain for the user: its splits. `config` is config.data."""
    return ("+".join(config.divide) or "all") if config.fractions else config.splits["train"]


def _drawn(number: int, name: str, share: float, seed: int) -> np.ndarray:
    """A random `share` of `number` positions, in order; a split's positions do not depend on other splits."""
    order = np.random.default_rng([seed, 6, zlib.crc32(name.encode())]).permutation(number)
    return np.sort(order[: round(share * number)])


def _check(subsets: Mapping[str, Subset], dataset: Dataset, config: ConfigDict) -> None:
    names = list(config.unlabelled)
    used = set(config.divide or dataset.splits) if config.fractions else set(config.splits.values())
    bad = {
        "no split": [name for name in names if name not in dataset.splits],
        "used for another part": [name for name in names if name in used],
        "named twice": [name for name in dict.fromkeys(names) if names.count(name) > 1],
    }
    if any(bad.values()):
        faults = "; ".join(f"{why}: {', '.join(some)}" for why, some in bad.items() if some)
        raise ConfigError(
            f"config.data.unlabelled must name other splits of {dataset.info.source} "
            f"({', '.join(dataset.splits)}) to learn from without labels; {faults}."
        )
    if names and dataset.info.loaded:
        raise ConfigError(
            f"config.data.unlabelled needs labels that are known without their pictures; those of "
            f"{dataset.info.source} are {dataset.info.labels}. Leave it empty."
        )
    if UNLABELLED in subsets:
        raise ConfigError(
            f"config.data.targets must not name '{UNLABELLED}', which is the name of a part ({', '.join(PARTS)} and "
            f"{UNLABELLED} are). Rename the split."
        )
