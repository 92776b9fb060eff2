"""The transferability of every layer: the curves of a finished suite of configs/transferability_*.py."""

import argparse
import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from tljax.core.atomic import make_folder, write_json
from tljax.core.errors import DataError
from tljax.core.untrusted import Record
from tljax.reporting import figures
from tljax.reporting.terminal import show
from tljax.runs import results

SERIES = {
    "bnb": "BnB: from B, copied stages frozen",
    "bnb_plus": "BnB+: from B, everything learns",
    "anb": "AnB: from A, copied stages frozen",
    "anb_plus": "AnB+: from A, everything learns",
    "random": "random stages frozen",
}
# Top-1 accuracy on ImageNet's half B, an eight-layer network, copied layers n (Yosinski et al. 2014).
ORIGINAL = {
    0: {"base": 62.45},
    5: {"bnb": 59.34, "anb": 57.77, "anb_plus": 64.43},
    7: {"bnb": 62.29, "anb": 54.19, "anb_plus": 64.58},
}

Points = dict[int, list[float]]  # copied stages -> the test metric of every seed


def main(arguments: Sequence[str]) -> None:
    """`tljax layers SUITE [--out FOLDER]`: writes layers.json and layers.png, prints a table.

    Raises:
      DataError: the folder holds no finished base_b, or no row of a series.
    """
    parser = argparse.ArgumentParser(prog="tljax layers", description=__doc__)
    parser.add_argument("suite", type=Path, help="the folder of the suite")
    parser.add_argument("--out", type=Path, help="where to write; by default the suite's own folder")
    options = parser.parse_args(arguments)
    base, series, metric = read(options.suite)
    stages = sorted({n for points in series.values() for n in points})
    show(
        f"test {metric}, mean and spread of seeds; the base network of B reaches {_cell(base)}",
        ("copied", *series),
        [[str(n), *(_cell(points.get(n, [])) for points in series.values())] for n in stages],
    )
    print("\n".join(original()))
    out = options.out or options.suite
    make_folder(out)
    found = {"metric": metric, "base": base, "series": series, "original": ORIGINAL}
    write_json(out / "layers.json", found)
    lines = {SERIES[name]: {0: base, **points} for name, points in series.items()}
    figures.curves_over(
        lines,
        out / "layers.png",
        xlabel="\n".join(["stages copied", *original()]),
        ylabel=f"test {metric} on half B",
    )


def original() -> list[str]:
    """The results of Yosinski et al., as lines for the user."""
    found = [
        f"{n} of 7 copied: " + ", ".join(f"{SERIES[name].partition(':')[0]} {value:.2f}" for name, value in row.items())
        for n, row in ORIGINAL.items()
        if n
    ]
    return [f"the original (Yosinski et al. 2014, half of ImageNet): base {ORIGINAL[0]['base']:.2f}", *found]


def read(suite: Path) -> tuple[list[float], dict[str, Points], str]:
    """(base network on B, series -> points, name of the metric) of the finished runs below a suite's folder."""
    found: dict[str, list[Record]] = {}
    for file in sorted(suite.glob("*/seed*/result.json")):
        found.setdefault(file.parent.parent.name, []).append(results.read(file.parent))
    values = {row: [_value(result) for result in runs] for row, runs in found.items()}
    series = {name: _points(values, name) for name in SERIES}
    series = {name: points for name, points in series.items() if points}
    if "base_b" not in values or not series:
        raise DataError(
            f"'{suite}' must be the folder of a suite of configs/transferability_digits.py, with finished runs of "
            f"base_b and of rows such as anb_1; it holds {', '.join(found) or 'no finished run'}."
        )
    return values["base_b"], series, found["base_b"][0]["metric"]


def _points(values: Mapping[str, list[float]], name: str) -> Points:
    rows = {row: re.fullmatch(rf"{name}_(\d+)", row) for row in values}
    return dict(sorted((int(match[1]), values[row]) for row, match in rows.items() if match))


def _value(result: Record) -> float:
    return result["metrics"]["test"][result["metric"]]


def _cell(values: Sequence[float]) -> str:
    if not values:
        return "-"
    spread = f" ({100 * statistics.stdev(values):.2f})" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.2f}{spread}"
