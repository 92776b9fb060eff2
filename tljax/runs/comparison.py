"""Compare rows: intervals, paired differences to the best row, and whether the test part can resolve them."""

import csv
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tljax.core.atomic import make_folder, write, write_json
from tljax.core.untrusted import Json, Record
from tljax.reporting import figures, significance, table_files
from tljax.reporting.significance import ALPHA, TESTS, Difference
from tljax.runs import results

Hits = Mapping[str, Mapping[int, tuple[str, np.ndarray] | None]]  # row -> seed -> the result of `read_hits`
Failure = tuple[str, int, Exception]  # row, seed and why
COLUMNS = (
    "row", "test %", "sd", "95 % seeds", "95 % test size", "validation %", "to the best (95 %)", "p", "resolved",
    "seeds", "seconds", "step MiB", "trainable", "optimizer KiB",
)  # fmt: skip

# Where not all fit: those that answer the question.
FIRST = ("row", "test %", "95 % test size", "to the best (95 %)", "p", "resolved", "seconds", "validation %")


def rows(found: Mapping[str, Sequence[Record]], folders: Mapping[str, Path]) -> list[Record]:
    """Row -> its results over seeds, as a table of JSON: statistics, costs, difference to the best row.

    The best row has the highest mean on the test part, among rows with the most seeds. p values are corrected for the
    number of rows compared with it (Holm 1979). A row is `chosen` if it has the highest mean on the validation part,
    among the same rows: this choice does not use the test part.

    Args:
      found: row -> results over seeds; a row without results is kept, with its name only.
      folders: row -> the folder that holds its runs, seed0 and so on.
    """
    table = [_row(name, members) for name, members in found.items() if members]
    best = max(table, key=lambda row: (len(row["values"]), row["mean"]), default=None)
    selectable = [row for row in table if row["validation"] is not None]
    chosen = max(selectable, key=lambda row: (len(row["values"]), row["validation"]), default=None)
    hits = {
        name: {one["seed"]: read_hits(folders[name] / f"seed{one['seed']}", one) for one in members}
        for name, members in found.items()
    }
    differences = {row["name"]: _to(best, row, hits) for row in table if best and row is not best}
    known = {name: difference for name, difference in differences.items() if difference}
    corrected = dict(zip(known, significance.holm([d.p for d in known.values()]), strict=True))
    _to_chosen(table, chosen, hits)
    for row in table:
        difference, p = known.get(row["name"]), corrected.get(row["name"])
        row |= {"best": row is best, "chosen": row is chosen, "p": p, "resolved": None if p is None else p < ALPHA}
        row["difference"] = dataclasses.asdict(difference) if difference else None
    unlike = results.unlike([folders[row["name"]] / f"seed{seed}" for row in table for seed in row["seeds"]])
    for row in table:
        row["unlike"] = unlike
    full = {row["name"]: row for row in table}
    return [full.get(name, {"name": name, "values": []}) for name in found]


def _to_chosen(table: Sequence[Record], chosen: Record | None, hits: Hits) -> None:
    """Put "p_to_chosen" into every other row: whether the test part tells it from the chosen one (Holm 1979)."""
    differences = {row["name"]: _to(chosen, row, hits) for row in table if chosen and row is not chosen}
    known = {name: difference.p for name, difference in differences.items() if difference}
    corrected = dict(zip(known, significance.holm(list(known.values())), strict=True))
    for row in table:
        row["p_to_chosen"] = corrected.get(row["name"])


def read_hits(folder: Path, result: Record) -> tuple[str, np.ndarray] | None:
    """(checksum of the test part, (N,) bool: what a finished run got right), from its predictions.

    Args:
      result: the run's result. None is returned if its metric is not a share of examples, or it has no predictions.
    """
    file = folder / "report" / "test_predictions.csv"
    if result["metric"] not in significance.SHARES or not file.exists():
        return None
    with file.open(newline="", encoding="utf-8") as lines:
        right = np.array([row["label"] == row["prediction"] for row in csv.DictReader(lines)])
    part = results.read(folder, "inputs.json")["test"]
    return (part, right) if abs(right.mean() - _value(result)) < 1e-9 else None


def save(tables: Mapping[int, Sequence[Record]], failed: Sequence[Failure], folder: Path) -> None:
    """Write comparison.md and .json, and a picture of every table; learning curves where sizes differ.

    Args:
      tables: training examples per class (0: as in the config) -> the rows.
      failed: row, seed and error of every run that failed.
    """
    make_folder(folder)
    lines = [
        ("examples a class", *COLUMNS),
        *((str(size or ""), *cells(row)) for size, t in tables.items() for row in t),
    ]
    table_files.save(lines, folder / "comparison.csv")
    table_files.save(lines, folder / "comparison.tex")
    sizes = [{"examples_per_class": size, "rows": table} for size, table in tables.items()]
    failures = [{"row": row, "seed": seed, "error": str(error)} for row, seed, error in failed]
    about = {"alpha": ALPHA, "tests": TESTS}
    write_json(folder / "comparison.json", about | {"tables": sizes, "failures": failures})
    write(folder / "comparison.md", markdown(tables, failed))
    for size, table in tables.items():
        if drawn := [row | {"name": row["called"]} for row in table if row["values"]]:
            figures.intervals(drawn, folder / (f"comparison_{size}.png" if size else "comparison.png"))
    if lines := curves(tables):
        write_json(folder / "learning_curves.json", lines)
        figures.learning_curves(lines, folder / "learning_curves.png")


def curves(tables: Mapping[int, Sequence[Record]]) -> dict[str, list[Record]]:
    """Row -> a point for every number of examples per class: mean, interval over seeds and the values."""
    lines: dict[str, list[Record]] = {}
    for size, table in tables.items():
        for row in table:
            if size and row["values"]:
                point = {key: row[key] for key in ("metric", "mean", "interval", "values", "seeds")}
                lines.setdefault(row["name"], []).append({"examples_per_class": size, **point})
    return lines


def markdown(tables: Mapping[int, Sequence[Record]], failed: Sequence[Failure]) -> str:
    """The tables for a README, with a description of their columns."""
    text = ""
    for size, table in tables.items():
        lines = [COLUMNS, ["---"] * len(COLUMNS), *(cells(row) for row in table)]
        text += f"{size} training examples a class:\n\n" if size else ""
        text += "".join("| " + " | ".join(line) + " |\n" for line in lines) + "\n"
    return text + "".join(f"- {note}\n" for note in notes(tables, failed))


def cells(row: Record) -> list[str]:
    """One row as texts, in the order of COLUMNS; * marks the row that validation chooses."""
    if not row["values"]:
        return [row["name"], "not begun" if row.get("waiting") else "failed", *("-" for _ in COLUMNS[2:])]
    difference, percent = (
        row["difference"],
        {k: 100 * row[k] for k in ("mean", "sd", "validation") if row[k] is not None},
    )
    ends = (difference["low"], difference["high"]) if difference else None
    to_best = f"{100 * difference['value']:+.2f} ({_range(ends)})" if difference else "-"
    return [
        row["called"] + (" *" if row["chosen"] else ""),
        *(f"{percent[key]:.2f}" if key in percent else "-" for key in ("mean", "sd")),
        _range(row["interval"]),
        _range(row["test_size"]),
        f"{percent['validation']:.2f}" if "validation" in percent else "-",
        "best" if row["best"] else to_best,
        f"{row['p']:.2g}" if row["p"] is not None else "-",
        {None: "-", True: "yes", False: "no"}[row["resolved"]],
        str(len(row["values"])),
        f"{row['seconds']:.1f}",
        f"{row['step_bytes'] / 2**20:.1f}" if row["step_bytes"] else "-",
        f"{row['trainable']:,}",
        f"{row['optimizer_bytes'] / 2**10:,.1f}",
    ]


def notes(tables: Mapping[int, Sequence[Record]], failed: Sequence[Failure]) -> list[str]:
    """Notes for below the tables: failures, the meaning of columns, and the tests."""
    rows = [row for table in tables.values() for row in table if row["values"]]
    whys: dict[tuple[str, str], list[str]] = {}
    for row, seed, error in failed:
        whys.setdefault((row, str(error).splitlines()[0]), []).append(str(seed))
    used = dict.fromkeys(row["difference"]["test"] for row in rows if row["difference"])
    return [
        *dict.fromkeys(note for row in rows for note in row["unlike"]),
        *(f"failed: {row}, seed {', '.join(seeds)}: {why}" for (row, why), seeds in whys.items()),
        "sd, 95 % seeds: sample standard deviation over seeds, and the t-interval of their mean, on this test part.",
        f"95 % test size: {_by(rows[0])} on one test part of {rows[0]['examples']:,} examples."
        if rows
        else "Nothing has finished.",
        *(f"to the best, '{name}': {TESTS[name]}." for name in used),
        f"p is corrected for the number of rows (Holm 1979); resolved: p < {ALPHA}. The best row is the highest on "
        "the test part, so its own figure is too optimistic; * is the row that the validation part chooses.",
        "seconds: wall time of a run, reading and compiling included. step MiB: what XLA plans for one training step "
        "on a device (parameters, optimizer, batch, activations); the process, which all runs share, holds more.",
    ]


def _by(row: Json) -> str:
    """How `test_size` comes about."""
    if row["metric"] in significance.SHARES or not row["test_size"]:
        return "Wilson's interval for the mean"
    return "the interval that the task gives a run's metric (see its run's page), mean over seeds,"


def _row(name: str, members: Sequence[Record]) -> Record:
    metric, values = members[0]["metric"], [_value(member) for member in members]
    validation = [m["metrics"]["validation"][metric] for m in members if "validation" in m["metrics"]]
    examples = members[0]["metrics"]["test"]["examples"]
    mean = float(np.mean(values))
    return {
        "name": name,
        "called": results.called(name, members),
        "metric": metric,
        "seeds": [member["seed"] for member in members],
        "values": values,
        "mean": mean,
        "sd": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        "interval": _within(significance.interval(values), metric),
        "test_size": _test_size(metric, mean, [member["metrics"]["test"] for member in members]),
        "examples": examples,
        "validation": float(np.mean(validation)) if validation else None,
        "updates": [member["step"] for member in members],
        "seconds": float(np.mean([member["seconds"]["total"] for member in members])),
        "step_bytes": max(member["step_bytes"] for member in members),
        "trainable": members[0]["parameters"]["trainable"],
        "optimizer_bytes": members[0]["optimizer_bytes"],
    }


def _test_size(metric: str, mean: float, parts: Sequence[Json]) -> tuple[float, float] | None:
    """How sure one test part of this size is: the means of the ends that the task gives each run, else Wilson's."""
    low, high = significance.ends(metric)
    if all(low in part for part in parts):
        return float(np.mean([part[low] for part in parts])), float(np.mean([part[high] for part in parts]))
    return significance.of_share(metric, {**parts[0], metric: mean})


def _within(ends: tuple[float, float] | None, metric: str) -> tuple[float, float] | None:
    """An interval over seeds cut where no share can be."""
    return (max(ends[0], 0.0), min(ends[1], 1.0)) if ends and metric in significance.SHARES else ends


def _value(result: Record) -> float:
    return result["metrics"]["test"][result["metric"]]


def _to(best: Record, row: Record, hits: Hits) -> Difference | None:
    """The difference of `row` to `best` over their common seeds, by the strongest test that their runs allow."""
    ours, theirs = (dict(zip(one["seeds"], one["values"], strict=True)) for one in (row, best))
    seeds = [seed for seed in ours if seed in theirs]
    kept = [hits[one["name"]][seed] for one in (row, best) for seed in seeds]
    known = [some for some in kept if some]
    if known == kept and len({part for part, _ in known}) == 1:
        right = np.array([hit for _, hit in known], int).reshape(2, len(seeds), -1)  # (2, S, N)
        differences = right[0] - right[1]
        return (
            significance.over_seeds_and_examples(differences)
            if len(seeds) > 1
            else significance.mcnemar(differences[0])
        )
    return significance.over_seeds(np.array([ours[seed] - theirs[seed] for seed in seeds])) if len(seeds) > 1 else None


def _range(ends: Sequence[float] | None) -> str:
    return f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f}" if ends else "-"
