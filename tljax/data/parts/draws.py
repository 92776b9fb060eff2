"""Seeded random samples of examples, stratified by class; groups stay together."""

from collections.abc import Iterator

import numpy as np


def mask(
    strata: np.ndarray, seed: int, draw: int, *, share: float = 0.0, number: int = 0, groups: np.ndarray | None = None
) -> np.ndarray:
    """A mask over examples: `number` or `share` (rounded) of every class, drawn at random.

    Args:
      strata: (N,) classes.
      draw: the number of the sample within the run.
      groups: (N,) whole numbers. Examples of one group are drawn together, so `share` is only approximate. The class
        of a group is that of most of its examples. If a class has two groups or more, at least one is drawn and at
        least one is not.
    """
    chosen = np.zeros(len(strata), bool)
    if groups is not None and share:
        return _whole_groups(strata, groups, share, [seed, draw])
    for label, members in by_class(strata):
        size = number or round(share * len(members))
        order = np.random.default_rng([seed, draw, label]).permutation(len(members))
        chosen[members[order[:size]]] = True
    return chosen


def by_class(strata: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Each class that occurs, with the positions of its examples in order; one sort, however many classes there are."""
    labels, starts = np.unique(np.sort(strata), return_index=True)
    members = np.split(np.argsort(strata, kind="stable"), starts[1:])
    return zip(map(int, labels), members, strict=True) if len(strata) else iter(())


def _whole_groups(strata: np.ndarray, groups: np.ndarray, share: float, seed: list[int]) -> np.ndarray:
    names, place, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    place = place.reshape(-1)
    drawn = np.zeros(len(names), bool)
    for label, units in by_class(_class_of_each(place, strata)):
        order = units[np.random.default_rng([*seed, label]).permutation(len(units))]
        ends = np.cumsum(sizes[order])
        number = int(np.abs(np.array([0, *ends]) - share * ends[-1]).argmin())
        drawn[order[: min(max(number, 1), len(order) - 1) if len(order) > 1 else number]] = True
    return drawn[place]


def _class_of_each(groups: np.ndarray, strata: np.ndarray) -> np.ndarray:
    """The class of most examples of each group 0 ... G-1, the first of those that have as many: (G,)."""
    pairs, counts = np.unique(np.stack([groups, strata], axis=1), axis=0, return_counts=True)
    order = np.lexsort((pairs[:, 1], -counts, pairs[:, 0]))
    _, first = np.unique(pairs[order, 0], return_index=True)
    return pairs[order[first], 1]


def is_sorted(rows: np.ndarray) -> bool:
    """Whether examples are sorted by class: each class in one run, or in far fewer runs than in a random order.

    Args:
      rows: labels (N,), numbers or sets (N, K). Numbers count as sorted if the first column only rises or falls.
    """
    if rows.ndim == 2 and rows.dtype != bool:
        steps = np.diff(rows[:, 0])
        return len(rows) > 2 and bool(steps.any()) and bool((steps >= 0).all() or (steps <= 0).all())
    _, labels, counts = np.unique(rows, axis=0, return_inverse=True, return_counts=True)
    labels = labels.reshape(-1)
    changes, expected = (np.diff(labels) != 0).sum(), (len(labels) - 1) * (1 - ((counts / len(labels)) ** 2).sum())
    return len(counts) > 1 and bool(changes == len(counts) - 1 or changes < expected / 2)


def first_of_each(strata: np.ndarray, number: int, seed: int) -> np.ndarray:
    """`number` random positions, in order: each class gets its share, and at least one if `number` allows it."""
    rng, places = np.random.default_rng([seed, 7]), np.zeros(len(strata))
    for _, members in by_class(strata):
        places[members] = rng.permutation(len(members)) / len(members)
    return np.sort(np.lexsort((rng.random(len(strata)), places))[:number])
