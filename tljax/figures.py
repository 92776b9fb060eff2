"""Pictures and tables of a run, as files: curves, confusion matrix, report per class."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("agg")  # files only, no window
from matplotlib import pyplot as plt

plt.rcParams["text.parse_math"] = False  # a class may be called "$5_bills$"

NAMED = 30  # classes up to which a confusion matrix is labelled with names and counts


def curves(log: Path, file: Path, metrics: Sequence[str]) -> None:
    """`metrics` over steps, each in its own axes, from a run's metrics.jsonl."""
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    if not rows:
        return
    size = (5 * len(metrics), 3.5)
    figure, axes = plt.subplots(1, len(metrics), figsize=size, layout="constrained", squeeze=False)
    for axis, metric in zip(axes[0], metrics, strict=True):
        for part in dict.fromkeys(row["part"] for row in rows):
            points = [(row["step"], row[metric]) for row in rows if row["part"] == part]
            axis.plot(*zip(*points, strict=True), label=part, marker="." if len(points) < 50 else None)
        axis.set(xlabel="step", ylabel=metric)
        axis.grid(alpha=0.3)
        axis.legend()
    _save(figure, file)


def confusion(counts: np.ndarray, classes: Sequence[str], stem: Path) -> None:
    """Counts (K, K), row = label, column = prediction, as <stem>.csv and <stem>.png."""
    with stem.with_suffix(".csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["label \\ prediction", *classes])
        rows.writerows([name, *map(int, row)] for name, row in zip(classes, counts, strict=True))
    side = min(12.0, 2.5 + 0.45 * len(classes))
    figure, axis = plt.subplots(figsize=(side, side), layout="constrained")
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axis.set(xlabel="prediction", ylabel="label")
    if len(classes) <= NAMED:
        axis.set_xticks(range(len(classes)), classes, rotation=60, ha="right")
        axis.set_yticks(range(len(classes)), classes)
        for i, j in zip(*np.nonzero(counts), strict=True):
            color = "white" if shares[i, j] > 0.5 else "black"
            axis.text(j, i, str(int(counts[i, j])), ha="center", va="center", fontsize=7, color=color)
    _save(figure, stem.with_suffix(".png"))


def per_class(counts: np.ndarray, classes: Sequence[str], file: Path) -> None:
    """Precision, recall, F1 and the number of examples of every class, as CSV."""
    hits, labels, predictions = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    with file.open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["class", "precision", "recall", "f1", "examples"])
        for k, name in enumerate(classes):
            precision, recall = hits[k] / max(predictions[k], 1), hits[k] / max(labels[k], 1)
            f1 = 2 * hits[k] / max(labels[k] + predictions[k], 1)
            rows.writerow([name, f"{precision:.4f}", f"{recall:.4f}", f"{f1:.4f}", int(labels[k])])


def comparison(rows: Sequence[dict[str, Any]], file: Path) -> None:
    """The test metric of every row: each seed a dot, the mean a bar."""
    figure, axis = plt.subplots(figsize=(7, 0.8 + 0.45 * len(rows)), layout="constrained")
    for y, row in enumerate(reversed(rows)):
        axis.barh(y, row["mean"], color="#9ecae1", height=0.6)
        axis.plot(row["values"], [y] * len(row["values"]), "o", color="#08519c", markersize=4)
    axis.set_yticks(range(len(rows)), [row["name"] for row in reversed(rows)])
    low = min(min(row["values"]) for row in rows)
    axis.set(xlabel=f"test {rows[0]['metric']}", xlim=(max(0.0, low - 0.1), 1.0))
    axis.grid(axis="x", alpha=0.3)
    _save(figure, file)


def _save(figure: Any, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110)
    plt.close(figure)
