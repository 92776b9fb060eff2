"""A plan over the whole run, before its first step: groups down, epochs across, learning rates; as data and as text."""

import bisect
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tljax import optimizer
from tljax.types import Phase

COLUMNS = 120  # of the data, besides the ends of phases
WIDTH = 60  # of the text
SHADES, FROZEN = "░▒▓█", "·"


def chart(phases: Sequence[Phase], steps: int, epochs: float, config: Any) -> dict[str, Any]:
    """Every group's learning rate over the run, as a table of JSON.

    Args:
      config: the optimizer's own.

    Returns:
      `edges` of the columns in epochs (N + 1, from 0 to the end), `rates`: group -> (N) rates at the middle
      step of each column, None where the group is frozen; `phases` with the epochs from and until which they last.
    """
    ends = optimizer.step_ends(phases, steps)
    cuts = np.linspace(0, steps, COLUMNS + 1).round().astype(int)
    edges = sorted({*cuts.tolist(), *ends})
    middles = [(low + high - 1) // 2 for low, high in itertools.pairwise(edges)]
    awake = [phases[sum(step >= end for end in ends[:-1])].learning for step in middles]
    rates = [optimizer.rate_at(phases, steps, config, step) for step in middles]
    begins = (0, *ends[:-1])
    return {
        "steps": steps,
        "epochs": epochs,
        "edges": [edge / steps * epochs for edge in edges],
        "rates": {
            group: [rate[group] if group in learning else None for rate, learning in zip(rates, awake, strict=True)]
            for group in phases[0].scales
        },
        "phases": [
            {"name": phase.name, "from": begin / steps * epochs, "until": end / steps * epochs}
            for phase, begin, end in zip(phases, begins, ends, strict=True)
        ],
    }


def limits(table: dict[str, Any]) -> tuple[float, float]:
    """The rates at which shades begin and end: at a tenth of the slowest group's peak (or the lowest), at the highest.

    A schedule that ends at 0 would otherwise spend all shades on its last steps.
    """
    above = [[rate for rate in row if rate] for row in table["rates"].values()]
    peaks, lowest = [max(row) for row in above if row], [min(row) for row in above if row]
    return max(min(peaks) / 10, min(lowest)) if peaks else 1.0, max(peaks, default=1.0)


def lines(table: dict[str, Any]) -> list[str]:
    """A chart as text: a title, and a line a group; the darker, the faster it learns, on a log scale."""
    low, high = limits(table)
    names = max(map(len, table["rates"]))
    scale = f"{SHADES[-1]} {high:.2g}" if low == high else f"{SHADES[-1]} {high:.2g} down to {SHADES[0]} {low:.2g}"
    title = f"plan over {table['epochs']:g} epochs ({table['steps']} steps): learning rate {scale}, {FROZEN} frozen"
    middles = (np.arange(WIDTH) + 0.5) * table["epochs"] / WIDTH
    columns = [bisect.bisect_right(table["edges"], middle) - 1 for middle in middles]
    return [title] + [
        f"  {group:{names}} " + "".join(_shade(row[column], low, high) for column in columns)
        for group, row in table["rates"].items()
    ]


def _shade(rate: float | None, low: float, high: float) -> str:
    if rate is None:
        return FROZEN
    if low == high:
        return SHADES[-1]
    place = math.log(max(rate, low) / low) / math.log(high / low)  # what is below `low` is the lightest
    return SHADES[min(int(place * len(SHADES)), len(SHADES) - 1)]
