"""The charts of a page. Each part has the same colour in all charts, and so have right and wrong."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tljax.core.untrusted import Json
from tljax.reporting import figures
from tljax.reporting.figures import plt
from tljax.reporting.measures import Outcome, coverage, reliability
from tljax.reporting.page import words
from tljax.reporting.page.pictures import Picture, figure

# Tol's bright scheme, which colour-blind people can distinguish.
PARTS = {"train": "#4477aa", "validation": "#ccbb44", "test": "#228833"}
OTHER, RIGHT, WRONG = "#aa3377", "#4477aa", "#ee6677"


def color(part: str) -> str:
    """The colour of a part in every chart."""
    return PARTS.get(part, OTHER)


def curves(log: Sequence[Json], metrics: Sequence[str], *, per_epoch: float, best: int | None) -> Picture:
    """Metrics over epochs.

    Args:
      log: the rows of metrics.jsonl.
      per_epoch: number of steps in an epoch.
      best: the step of the epoch that is kept; None: the last epoch is kept.
    """
    drawn, axes = plt.subplots(1, len(metrics), figsize=(4.4 * len(metrics), 3.2), layout="constrained", squeeze=False)
    for axis, metric in zip(axes[0], metrics, strict=True):
        for part in dict.fromkeys(row["part"] for row in log if not row["part"].startswith("final")):
            points = [(row["step"] / per_epoch, row[metric]) for row in log if row["part"] == part and metric in row]
            if points:
                marker = "." if len(points) < 50 else None
                axis.plot(*zip(*points, strict=True), label=part, color=color(part), marker=marker)
        if best is not None:
            axis.axvline(best / per_epoch, color="black", linestyle="--", linewidth=1, label="kept")
        axis.set(xlabel="epoch", ylabel=words.metric(metric))
        axis.grid(alpha=0.3)
        if axis.lines:
            axis.legend()
    epoch = "" if best is None else f" Epoch {best / per_epoch:.3g} is kept."
    return figure(drawn, f"{' and '.join(map(words.metric, metrics))} over epochs, by part.{epoch}")


def confusion(outcome: Outcome) -> Picture:
    """The confusion matrix: labels vertical, predictions horizontal."""
    counts, classes = outcome.confusion, outcome.classes
    drawn = figures.matrix(counts, classes, side=min(9.0, 2.2 + 0.4 * len(classes)), font=8)
    wrong = int(counts.sum() - np.trace(counts))
    return figure(drawn, f"Confusion matrix of {len(classes)} classes: {wrong} of {counts.sum()} off the diagonal.")


def sureness(before: Outcome, after: Outcome) -> Picture:
    """Accuracy over sureness, without and with the temperature; on the diagonal both are equal."""
    drawn, axis = plt.subplots(figsize=(4.2, 3.6), layout="constrained")
    axis.plot([0, 1], [0, 1], color="black", linewidth=0.8)
    lines = (("without temperature", before, "#bbbbbb"), ("with temperature", after, PARTS["test"]))
    for name, outcome, shade in lines if after is not before else (("as it is", before, PARTS["test"]),):
        sure, right, counts = map(np.array, zip(*reliability(outcome, 10), strict=True))
        axis.plot(sure, right, color=shade, label=name)
        axis.scatter(sure, right, s=8 + 120 * counts / counts.sum(), color=shade)
    low = min(float(one.sureness.min()) for one in (before, after))
    axis.set(xlabel="probability of the prediction", ylabel="share that is right", xlim=(max(0, low - 0.05), 1.02))
    axis.grid(alpha=0.3)
    axis.legend()
    return figure(drawn, "Reliability: the share of right predictions over their probability, larger dots for more.")


def selective(outcome: Outcome) -> Picture:
    """Accuracy on the surest examples, over their share."""
    shares, accuracy = coverage(outcome)
    drawn, axis = plt.subplots(figsize=(4.2, 3.6), layout="constrained")
    axis.plot(100 * shares, 100 * accuracy, color=PARTS["test"])
    axis.set(xlabel="% of examples answered, the surest first", ylabel="accuracy on these, %")
    axis.grid(alpha=0.3)
    half = float(accuracy[len(accuracy) // 2])
    return figure(drawn, f"Accuracy over the share of examples answered; on the surer half {100 * half:.1f} %.")


def scatter(labels: np.ndarray, found: np.ndarray, names: Sequence[str]) -> Picture:
    """Predictions over targets (N, T); on the line both are equal."""
    size = (3.6 * len(names), 3.6)
    drawn, axes = plt.subplots(1, len(names), figsize=size, layout="constrained", squeeze=False)
    for t, (axis, name) in enumerate(zip(axes[0], names, strict=True)):
        middle = float(np.concatenate([labels[:, t], found[:, t]]).mean())
        axis.plot(labels[:, t], found[:, t], ".", color=PARTS["test"], markersize=4, alpha=0.5)
        axis.axline((middle, middle), slope=1, color="black", linewidth=0.8)
        axis.set(xlabel=name, ylabel=f"{name}, predicted")
        axis.grid(alpha=0.3)
    return figure(drawn, f"Predictions over targets of {len(labels)} examples: {', '.join(names)}.", vector=False)


def seconds(found: Mapping[str, float]) -> Picture:
    """The seconds of every part of the run; `found` has no total."""
    drawn, axis = plt.subplots(figsize=(5.2, 0.7 + 0.35 * len(found)), layout="constrained")
    axis.barh(list(found)[::-1], list(found.values())[::-1], color="#4477aa")
    axis.set(xlabel="seconds")
    said = ", ".join(f"{name} {value:.1f}" for name, value in found.items())
    return figure(drawn, f"Seconds by part of the run: {said}.")


def plan(table: Json, limits: tuple[float, float]) -> Picture:
    """A plan's chart (`plan_rates.chart`): groups vertical, epochs horizontal; the rate as shade and number."""
    from matplotlib.colors import LogNorm

    groups, edges = list(table["rates"]), table["edges"]
    rates = np.array([[np.nan if rate is None else rate for rate in row] for row in table["rates"].values()])
    drawn, axis = plt.subplots(figsize=(7, 1.3 + 0.34 * len(groups)), layout="constrained")
    axis.patch.set(hatch="////", edgecolor="#bbbbbb", facecolor="white")
    low, high = limits
    norm = LogNorm(low / 10, high) if low == high else LogNorm(low / 2, high)
    axis.pcolormesh(edges, range(len(groups) + 1), np.maximum(rates, low), norm=norm, cmap="Blues")
    for phase in table["phases"]:
        inside = [i for i, edge in enumerate(edges[:-1]) if phase["from"] <= edge < phase["until"]]
        middle = (phase["from"] + phase["until"]) / 2
        for y, row in enumerate(rates[:, inside]):
            _rate(axis, middle, y + 0.5, row, norm)
        if phase["from"]:
            axis.axvline(phase["from"], color="black", linewidth=1)
    axis.set_yticks(np.arange(len(groups)) + 0.5, groups)
    axis.invert_yaxis()
    names = ", ".join(f"{phase['name']} to {phase['until']:g}" for phase in table["phases"])
    axis.set(xlabel=f"epoch ({names})", title="learning rate by group (hatched: frozen)")
    return figure(drawn, f"The plan: learning rate of {len(groups)} groups over {table['epochs']:g} epochs.")


def _rate(axis: Any, x: float, y: float, row: np.ndarray, norm: Any) -> None:
    """Write a group's rate in a phase on its bar."""
    known = row[~np.isnan(row)]
    if not len(known):
        said, shade = "frozen", "black"
    else:
        first, last = known[0], known[-1]
        steady = np.ptp(known) < 1e-3 * known.max()
        said = f"{known.max():.2g}" if steady else f"{first:.1g} … {known.max():.2g} … {last:.1g}"
        shade = "white" if norm(np.median(known)) > 0.55 else "black"
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1} if not len(known) else None
    axis.text(x, y, said, ha="center", va="center", fontsize=8, color=shade, bbox=box)
