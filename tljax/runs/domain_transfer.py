"""Source x target: metrics of runs on the test part of their own domain and on other domains, and the drop."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tljax.core.atomic import make_folder, write, write_json
from tljax.core.untrusted import Record
from tljax.data.parts.splits import PARTS
from tljax.reporting import figures
from tljax.reporting.terminal import show
from tljax.runs.results import called

NOTE = "of the targets, with the change against the source's own test part in points"


def summarize(rows: Mapping[str, Sequence[Record]]) -> list[Record]:
    """Row -> its results over seeds: the source, its test metric, and that of every target.

    Rows whose runs have no target are left out. If runs used the labels of targets to find the best epoch
    (`train.oracle`), the row is followed by a row "... (oracle)" with the results of this epoch. It is no method, but
    an upper bound for methods that choose an epoch without these labels.
    """
    table = []
    for name, results in rows.items():
        targets = [part for part in results[0]["metrics"] if part not in PARTS]
        if not targets:
            continue
        name, metric = called(name, results), results[0]["metric"]
        row = {"name": name, "source": results[0]["source"], "metric": metric}
        row |= {"seeds": [result["seed"] for result in results]}
        own = _values(result["metrics"]["test"][metric] for result in results)
        reached = {t: _values(result["metrics"][t][metric] for result in results) for t in targets}
        table.append(row | {"own": own, "targets": reached})
        if all("oracle" in result for result in results):
            best = {t: _values(result["oracle"][t][metric] for result in results) for t in targets}
            table.append(row | {"name": f"{name} (oracle)", "own": own, "targets": best})
    return table


def columns(rows: Sequence[Record]) -> tuple[str, ...]:
    """The table's columns: row, source, its own test part, every domain that is a target of some row, mean change."""
    return ("row", "source", "own test %", *domains(rows), "mean change")


def domains(rows: Sequence[Record]) -> list[str]:
    """The targets of all rows, sorted."""
    return sorted({target for row in rows for target in row["targets"]})


def cells(row: Record, targets: Sequence[str]) -> list[str]:
    """One row of the table; "own" if a target is the source, "-" if it was not evaluated."""
    own = row["own"]["mean"]
    percents = [
        f"{_percent(row['targets'][t])} ({_points(row['targets'][t]['mean'] - own)})"
        if t in row["targets"]
        else "own"
        if t == row["source"]
        else "-"
        for t in targets
    ]
    mean = statistics.mean(values["mean"] - own for values in row["targets"].values())
    return [row["name"], row["source"], _percent(row["own"]), *percents, _points(mean)]


def markdown(rows: Sequence[Record]) -> str:
    """The table for a README."""
    lines = [columns(rows), ["---"] * len(columns(rows)), *(cells(row, domains(rows)) for row in rows)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def tell(rows: Sequence[Record]) -> None:
    """Print the table, if there is one."""
    if rows:
        show(f"{rows[0]['metric']} {NOTE}", columns(rows), [cells(row, domains(rows)) for row in rows])


def save(rows: Sequence[Record], folder: Path) -> None:
    """Write transfer.md, transfer.json and transfer.png into `folder`, if there is a table."""
    if not rows:
        return
    make_folder(folder)
    write(folder / "transfer.md", markdown(rows))
    write_json(folder / "transfer.json", rows)
    targets = sorted({*domains(rows), *(row["source"] for row in rows)})
    means = [[_mean(row, target) for target in targets] for row in rows]
    figures.transfer(means, [row["name"] for row in rows], targets, rows[0]["metric"], folder / "transfer.png")


def _values(values: Any) -> Record:
    """Mean, sample standard deviation (None for one value), and the values in the order of their seeds."""
    every = list(values)
    spread = statistics.stdev(every) if len(every) > 1 else None
    return {"mean": statistics.mean(every), "spread": spread, "values": every}


def _mean(row: Record, domain: str) -> float:
    """A cell of the heat map: the own test part if the domain is the source; NaN if there is no value."""
    values = row["own"] if domain == row["source"] else row["targets"].get(domain)
    return values["mean"] if values else float("nan")


def _percent(values: Record) -> str:
    spread = "" if values["spread"] is None else f" ± {100 * values['spread']:.2f}"
    return f"{100 * values['mean']:.2f}{spread}"


def _points(change: float) -> str:
    return f"{100 * change:+.2f}"
