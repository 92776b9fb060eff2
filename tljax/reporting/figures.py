"""Pictures and tables of a run, as files: curves, confusion matrix, report per class."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("agg")  # files only, no window
from matplotlib import pyplot as plt
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from tljax.core.atomic import make_folder, whole
from tljax.core.untrusted import Record

plt.rcParams["text.parse_math"] = False  # a class may be called "$5_bills$"

NAMED = 30  # with at most this many classes, a confusion matrix shows names and counts


def curves(log: Path, file: Path, metrics: Sequence[str]) -> None:
    """`metrics` over steps, each in its own axes, from a run's metrics.jsonl."""
    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []
    if not rows:
        return
    size = (5 * len(metrics), 3.5)
    figure, axes = plt.subplots(1, len(metrics), figsize=size, layout="constrained", squeeze=False)
    for axis, metric in zip(axes[0], metrics, strict=True):
        for part in dict.fromkeys(row["part"] for row in rows):
            points = [(row["step"], row[metric]) for row in rows if row["part"] == part and metric in row]
            if points:  # a task may not have every metric for training batches
                axis.plot(*zip(*points, strict=True), label=part, marker="." if len(points) < 50 else None)
        axis.set(xlabel="step", ylabel=metric)
        axis.grid(alpha=0.3)
        if axis.lines:
            axis.legend()
    _save(figure, file)


def confusion(counts: np.ndarray, classes: Sequence[str], stem: Path) -> None:
    """Counts (K, K), row = label, column = prediction, as <stem>.csv and <stem>.png."""
    with whole(stem.with_suffix(".csv")) as part, part.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["label \\ prediction", *classes])
        rows.writerows([name, *map(int, row)] for name, row in zip(classes, counts, strict=True))
    _save(matrix(counts, classes, side=min(12.0, 2.5 + 0.45 * len(classes)), font=7), stem.with_suffix(".png"))


def matrix(counts: np.ndarray, classes: Sequence[str], *, side: float, font: int) -> Figure:
    """A confusion matrix (K, K), labels vertical, predictions horizontal; a cell is as dark as its share of the label.

    Args:
      side: of the figure, in inches.
      font: size of the counts, in points; they and the names are left out beyond `NAMED` classes.
    """
    figure, axis = plt.subplots(figsize=(side, side), layout="constrained")
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axis.set(xlabel="prediction", ylabel="label")
    if len(classes) <= NAMED:
        axis.set_xticks(range(len(classes)), classes, rotation=60, ha="right")
        axis.set_yticks(range(len(classes)), classes)
        for i, j in zip(*np.nonzero(counts), strict=True):
            color = "white" if shares[i, j] > 0.5 else "black"
            axis.text(j, i, str(int(counts[i, j])), ha="center", va="center", fontsize=font, color=color)
    return figure


def per_class(
    labels: np.ndarray, predictions: np.ndarray, hits: np.ndarray, *, classes: Sequence[str], file: Path
) -> None:
    """Precision, recall, F1 and the number of examples of every class, as CSV.

    Args:
      labels, predictions, hits: (K,), how often a class is the label, the prediction, and both.
    """
    with whole(file) as part, part.open("w", newline="", encoding="utf-8") as out:
        rows = csv.writer(out)
        rows.writerow(["class", "precision", "recall", "f1", "examples"])
        for k, name in enumerate(classes):
            precision, recall = hits[k] / max(predictions[k], 1), hits[k] / max(labels[k], 1)
            f1 = 2 * hits[k] / max(labels[k] + predictions[k], 1)
            rows.writerow([name, f"{precision:.4f}", f"{recall:.4f}", f"{f1:.4f}", int(labels[k])])


def scatter(labels: np.ndarray, found: np.ndarray, names: Sequence[str], file: Path) -> None:
    """Predictions (N, T) over targets (N, T), axes for each target; on the line both are equal."""
    targets = len(names)
    figure, axes = plt.subplots(1, targets, figsize=(4 * targets, 4), layout="constrained", squeeze=False)
    for t, (axis, name) in enumerate(zip(axes[0], names, strict=True)):
        both = np.concatenate([labels[:, t], found[:, t]])
        axis.plot(labels[:, t], found[:, t], ".", markersize=3, alpha=0.5)
        axis.axline((both.mean(), both.mean()), slope=1, color="black", linewidth=0.8)
        axis.set(xlabel=name, ylabel=f"{name}, predicted")
        axis.grid(alpha=0.3)
    _save(figure, file)


def comparison(rows: Sequence[Record], file: Path) -> None:
    """The test metric of every row: a dot for each seed, a bar for the mean."""
    figure, axis = plt.subplots(figsize=(7, 0.8 + 0.45 * len(rows)), layout="constrained")
    for y, row in enumerate(reversed(rows)):
        axis.barh(y, row["mean"], color="#9ecae1", height=0.6)
        axis.plot(row["values"], [y] * len(row["values"]), "o", color="#08519c", markersize=4)
    axis.set_yticks(range(len(rows)), [row["name"] for row in reversed(rows)])
    low = min(min(row["values"]) for row in rows)
    axis.set(xlabel=f"test {rows[0]['metric']}", xlim=(max(min(low, 0.0), low - 0.1), 1.0))
    axis.grid(axis="x", alpha=0.3)
    _save(figure, file)


def transfer(
    means: Sequence[Sequence[float]], rows: Sequence[str], targets: Sequence[str], metric: str, file: Path
) -> None:
    """A metric of every row (vertical) on every domain (horizontal); darker is higher, NaN is white."""
    size = (2.5 + 0.9 * len(targets), 1.5 + 0.45 * len(rows))
    figure, axis = plt.subplots(figsize=size, layout="constrained")
    values = np.array(means)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    shades = axis.imshow(values, cmap="Blues", aspect="auto", vmin=low - 0.3 * (high - low), vmax=high)
    axis.set_xticks(range(len(targets)), targets, rotation=30, ha="right")
    axis.set_yticks(range(len(rows)), rows)
    for y, x in zip(*np.nonzero(~np.isnan(values)), strict=True):
        color = "white" if values[y, x] > (low + high) / 2 else "black"
        axis.text(x, y, f"{100 * values[y, x]:.1f}", ha="center", va="center", fontsize=8, color=color)
    axis.set(xlabel="evaluated on", ylabel="learned from")
    figure.colorbar(shades, ax=axis, label=metric)
    _save(figure, file)


def curves_over(lines: Mapping[str, Mapping[int, Sequence[float]]], file: Path, *, xlabel: str, ylabel: str) -> None:
    """The mean of several values at every x, with their standard deviation as a bar; one line for each name."""
    figure, axis = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for shift, (name, points) in enumerate(lines.items()):
        means = [float(np.mean(values)) for values in points.values()]
        spreads = [float(np.std(values, ddof=1)) if len(values) > 1 else 0.0 for values in points.values()]
        places = [x + 0.02 * (shift - len(lines) / 2) for x in points]  # side by side, so that no bar hides another
        axis.errorbar(places, means, spreads, label=name, marker="o", capsize=3, markersize=4)
    axis.set(xlabel=xlabel, ylabel=ylabel, xticks=sorted({x for points in lines.values() for x in points}))
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    _save(figure, file)


def intervals(rows: Sequence[Record], file: Path) -> None:
    """The test metric of every row: seeds as dots, the mean with its interval over seeds, and that of the test size."""
    figure, axis = plt.subplots(figsize=(7.5, 1.0 + 0.5 * len(rows)), layout="constrained")
    for y, row in enumerate(reversed(rows)):
        color = "#08519c" if row["best"] else "#4d4d4d"
        if row["test_size"]:
            low, high = row["test_size"]
            axis.barh(y, high - low, left=low, height=0.55, color="#e0e0e0", zorder=1)
        axis.plot(row["values"], [y] * len(row["values"]), "o", color=color, alpha=0.45, markersize=4)
        if row["interval"]:
            axis.plot(row["interval"], [y, y], color=color, linewidth=2)
        axis.plot(row["mean"], y, "|", color=color, markersize=16, markeredgewidth=2.5)
    axis.set_xlim(*_possible(axis.get_xlim(), [value for row in rows for value in row["values"]]))
    axis.set_yticks(range(len(rows)), [row["name"] for row in reversed(rows)])
    axis.set(xlabel=f"test {rows[0]['metric']}\n(dots: seeds; line: 95 % over seeds; grey: 95 % of the test size)")
    axis.grid(axis="x", alpha=0.3)
    _save(figure, file)


def _possible(limits: tuple[float, float], values: Sequence[float]) -> tuple[float, float]:
    """Limits without impossible values of intervals of few seeds: above 1, and below 0 if no value is below 0."""
    return max(limits[0], min(0.0, *values)), min(limits[1], 1.02)


def learning_curves(lines: dict[str, list[Record]], file: Path) -> None:
    """The test metric over the number of training examples per class; bars are 95 % intervals over seeds."""
    figure, axis = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
    for place, (name, points) in enumerate(lines.items()):
        # Beside each other, so that bars do not hide bars.
        x = [point["examples_per_class"] * 1.03 ** (place - (len(lines) - 1) / 2) for point in points]
        ends = [point["interval"] or (point["mean"], point["mean"]) for point in points]
        means = np.array([point["mean"] for point in points])
        bars = [means - [low for low, _ in ends], [high for _, high in ends] - means]
        axis.errorbar(x, means, yerr=bars, marker="o", markersize=4, capsize=3, label=name)
    every = [point for points in lines.values() for point in points]
    numbers = sorted({point["examples_per_class"] for point in every})
    axis.set_xscale("log")
    axis.set_xticks(numbers, [str(number) for number in numbers])
    axis.minorticks_off()
    axis.set_ylim(*_possible(axis.get_ylim(), [point["mean"] for point in every]))
    axis.set(xlabel="training examples a class", ylabel=f"test {every[0]['metric']}")
    axis.grid(alpha=0.3)
    axis.legend()
    _save(figure, file)


def plan(table: Record, limits: tuple[float, float], file: Path) -> None:
    """A plan's chart (`plan_rates.chart`): groups vertical, epochs horizontal, rate as shade, frozen hatched."""
    groups, edges = list(table["rates"]), table["edges"]
    rates = np.array([[np.nan if rate is None else rate for rate in row] for row in table["rates"].values()])
    figure, axis = plt.subplots(figsize=(8, 1.4 + 0.3 * len(groups)), layout="constrained")
    axis.set_facecolor("white")
    axis.patch.set(hatch="////", edgecolor="#cccccc")
    low, high = limits
    norm = LogNorm(low / 2, high) if low == high else LogNorm(low, high)
    shades = axis.pcolormesh(edges, range(len(groups) + 1), np.maximum(rates, low), norm=norm, cmap="Blues")
    for phase in table["phases"][1:]:
        axis.axvline(phase["from"], color="black", linewidth=0.8)
    axis.set_yticks(np.arange(len(groups)) + 0.5, groups)
    axis.invert_yaxis()
    axis.set(xlabel="epoch (hatched: frozen; lines: phases)")
    bar = figure.colorbar(shades, ax=axis, label="learning rate", format="%.0e", extend="min")
    bar.ax.yaxis.set_minor_formatter(NullFormatter())  # its default writes formulas, which are not parsed here
    _save(figure, file)


def sweeps(found: dict[str, Record], file: Path) -> None:
    """The loss over the learning rate of every sweep (`lr_sweep.Sweep.as_json`), and the suggested rate."""
    figure, axis = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
    for group, one in found.items():
        [line] = axis.plot(one["rates"], one["smoothed"], label=group)
        axis.plot(one["rates"], one["losses"], ".", color=line.get_color(), alpha=0.25)
        if one["suggestion"]:
            axis.axvline(one["suggestion"], color=line.get_color(), linestyle="--", linewidth=1)
    top = max((1.5 * one["smoothed"][0] for one in found.values() if one["smoothed"]), default=1.0)
    axis.set(xscale="log", xlabel="learning rate (dashed: suggested)", ylabel="training loss (dots: batches)")
    axis.set_ylim(0, top)  # where it diverges is out of sight
    axis.xaxis.set_major_formatter("{x:.0e}")
    axis.grid(alpha=0.3)
    axis.legend()
    _save(figure, file)


def _save(figure: Figure, file: Path) -> None:
    make_folder(file.parent)
    with whole(file) as part:
        figure.savefig(part, dpi=110, format=file.suffix[1:])
    plt.close(figure)
