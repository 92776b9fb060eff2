"""Which settings a comparison tries: every combination of a grid, or draws from its ranges."""

import itertools
import math
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tljax.core.errors import ConfigError

MOST = 1000  # rows of a grid: more are meant otherwise
RANGE = re.compile(r"([-+.\deE]+)\.\.([-+.\deE]+)")


class Axis(NamedTuple):
    """A key of the config and what it is tried at."""

    key: str
    values: tuple[str, ...]  # () of a range
    ends: tuple[float, float] | None = None


def axes(words: Sequence[str]) -> tuple[Axis, ...]:
    """What "optimizer.lr=1e-3,1e-2" and, for draws, "optimizer.lr=1e-4..1e-1" mean.

    Raises:
      ConfigError: no key, no value, or the same key twice.
    """
    axes = []
    for word in words:
        key, equals, text = word.partition("=")
        ends = RANGE.fullmatch(text)
        values = tuple(dict.fromkeys(one for one in re.split(r",(?![^()]*\))", text) if one))
        if not key or not equals or not values:
            raise ConfigError(f"--grid must be KEY=VALUE,VALUE,... or KEY=LOW..HIGH (--random); got '{word}'.")
        axes.append(Axis(key.removeprefix("config."), () if ends else values, _ends(ends, word) if ends else None))
    if twice := {one.key for one in axes if sum(other.key == one.key for other in axes) > 1}:
        raise ConfigError(
            f"--grid must name every key once; twice: {', '.join(sorted(twice))}. Put its values together."
        )
    return tuple(axes)


def grid(found: Sequence[Axis]) -> list[tuple[str, ...]]:
    """Every combination, as overrides "key=value".

    Raises:
      ConfigError: a range, of which there is no end, or more than `MOST` combinations.
    """
    if ranges := [one.key for one in found if one.ends]:
        raise ConfigError(f"A range has no end of values: name some of {', '.join(ranges)}, or draw with --random N.")
    if (number := math.prod(len(one.values) for one in found)) > MOST:
        raise ConfigError(
            f"--grid makes {number:,} rows; at most {MOST:,}. Name fewer values, or draw with --random N."
        )
    return [
        tuple(f"{one.key}={value}" for one, value in zip(found, values, strict=True))
        for values in itertools.product(*(one.values for one in found))
    ]


def drawn(found: Sequence[Axis], number: int, seed: int) -> list[tuple[str, ...]]:
    """`number` different draws, each key by itself; of a range above 0 its logarithm is drawn, two digits are kept.

    Fewer where there are no more combinations (Bergstra and Bengio 2012: where few keys matter, draws find them sooner
    than a grid).
    """
    rng, rows = np.random.default_rng(seed), {}
    for _ in range(100 * number):
        if len(rows) == number:
            break
        rows[tuple(f"{one.key}={_draw(one, rng)}" for one in found)] = None
    return list(rows)


def _draw(axis: Axis, rng: np.random.Generator) -> str:
    if axis.ends is None:
        return axis.values[int(rng.integers(len(axis.values)))]
    low, high = axis.ends
    value = math.exp(rng.uniform(math.log(low), math.log(high))) if low > 0 else rng.uniform(low, high)
    return f"{value:.2g}"


def _ends(match: re.Match[str], word: str) -> tuple[float, float]:
    try:
        low, high = map(float, match.groups())
    except ValueError:
        low, high = 0.0, 0.0
    if not low < high:
        raise ConfigError(f"--grid: a range is LOW..HIGH, two numbers, the first the smaller; got '{word}'.")
    return low, high
