"""A plan over the whole run as text and shades: groups vertical, epochs horizontal (`plan_rates.chart`)."""

import bisect
import itertools
import math

import numpy as np

from tljax.core.untrusted import Record

WIDTH = 60  # of the text
SHADES, FROZEN = "░▒▓█", "·"


def limits(table: Record) -> tuple[float, float]:
    """The rates of the lightest and the darkest shade: a tenth of the slowest group's peak (or the lowest rate, if
    that is higher), and the highest rate. Otherwise a schedule that ends at 0 would use most shades for its last steps.
    """
    above = [[rate for rate in row if rate] for row in table["rates"].values()]
    peaks, lowest = [max(row) for row in above if row], [min(row) for row in above if row]
    return max(min(peaks) / 10, min(lowest)) if peaks else 1.0, max(peaks, default=1.0)


def folded(table: Record) -> Record:
    """The chart with one row for neighbours that learn alike: "embed to block11"."""
    rates, alike = table["rates"], itertools.groupby(table["rates"], key=lambda group: table["rates"][group])
    together = [list(groups) for _, groups in alike]
    names = [groups[0] if len(groups) == 1 else f"{groups[0]} to {groups[-1]}" for groups in together]
    return table | {"rates": {name: rates[groups[0]] for name, groups in zip(names, together, strict=True)}}


def lines(table: Record) -> list[str]:
    """A chart as text: a title, and a line for each group; darker is faster, on a log scale."""
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
    place = math.log(max(rate, low) / low) / math.log(high / low)  # rates below `low` are the lightest
    return SHADES[min(int(place * len(SHADES)), len(SHADES) - 1)]
