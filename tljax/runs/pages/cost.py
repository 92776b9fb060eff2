"""What a run took, and what to try next with the reason."""

from typing import Any

from tljax.reporting import plan_chart
from tljax.reporting.page import charts, words
from tljax.reporting.page.html import Content
from tljax.runs import budget
from tljax.runs.pages.finished import Finished

ENOUGH = 0.01  # of the metric: smaller differences are no reason to do anything
STILL = ("linear_probe", "classic")  # strategies that hold the backbone still
WIDE = 0.05  # half an interval from which on more test examples are worth it


def gather(run: Finished, baseline: Content | None, slope: float | None, interval: Any) -> Content:
    """Plan, curves, seconds, memory.

    Args:
      baseline: see `answer.gather`.
      slope: what twice the training examples add to the baseline's accuracy; None: not measured.
      interval: of the metric, where there is one.
    """
    result, chart = run.result, run.chart
    metrics = [name for name in dict.fromkeys(("loss", result["metric"])) if any(name in row for row in run.log)]
    best = result["step"] if run.chosen else None
    parts = {name: value for name, value in result["seconds"].items() if name != "total" and value}
    return {
        "plan": charts.plan(plan_chart.folded(chart), plan_chart.limits(chart)) if chart else None,
        "curves": charts.curves(run.log, metrics, per_epoch=run.per_epoch, best=best) if chart and metrics else None,
        "seconds": charts.seconds(parts),
        "total": result["seconds"]["total"],
        "memory": result["step_bytes"],
        "trainable": result["parameters"]["trainable"],
        "parameters": result["parameters"]["total"],
        "optimizer": result["optimizer_bytes"],
        "next": advice(run, baseline, slope, interval),
    }


def advice(run: Finished, baseline: Content | None, slope: float | None, interval: Any) -> list[dict[str, str]]:
    """What to try next, each with its reason, the most promising first."""
    best, metrics = run.result["metric"], run.result["metrics"]
    test, found = metrics["test"][best], []
    if baseline and baseline["value"] > test + ENOUGH:
        why = f"The {baseline['name']} reaches {words.value(baseline['value'], best)}, for seconds of work."
        found.append(_line("Check the learning rate, or take the probe", why))
    if run.chart and run.chosen and run.result["step"] == run.chart["steps"]:
        epochs = f"--config.train.epochs={2 * run.chart['epochs']:g}"
        found.append(_line(epochs, "The best epoch is the last one: it was still learning."))
    if run.config.train.minutes and run.chart and run.reached < run.config.train.epochs and not run.stopped_early:
        had = f"The time allowed {run.reached:.3g} of {run.config.train.epochs:g} epochs."
        if few := budget.few(round(run.reached * run.per_epoch)):
            had += f" {few.capitalize()}."
        found.append(_line(f"More time: --config.train.minutes={2 * run.config.train.minutes:g}", had))
    if slope is not None and slope > ENOUGH:
        found.append(_line("More training examples", f"Twice as many add about {100 * slope:.1f} points to a probe."))
    if "train" in metrics and best == "accuracy" and metrics["train"][best] - test > 0.1:
        gap = f"{100 * (metrics['train'][best] - test):.0f} points"
        why = f"The training part is {gap} ahead of the test part: examples are learned by heart."
        found += [_line(what, why) for what in _less_by_heart(run)]
    if "validation" not in metrics:
        why = "Without one the last epoch is kept, and probabilities are as sure as training left them."
        found.append(_line("A validation part: --config.data.validation=0.1", why))
    if run.experiment.published and (saw := run.experiment.card.size) and (gets := _size(run)) and gets < saw:
        found.append(_line(f"--config.data.size={saw}", f"The weights saw pictures of {saw} pixels, and get {gets}."))
    if interval and (wide := (interval[1] - interval[0]) / 2) > WIDE:
        half = f"{100 * wide:.1f} points" if best in words.SHARES else f"{wide:.2g}"
        found.append(_line("More test examples", f"The interval is {half} to each side: it hides most changes."))
    return found


def _less_by_heart(run: Finished) -> list[str]:
    """What of the usual remedies this run has not got yet."""
    found = []
    strategy = run.result.get("chosen_strategy", run.result["strategy"])
    if run.experiment.published and strategy not in STILL:
        found.append("Hold the backbone still: --config.strategy.name=linear_probe")
    if "flip" in run.config.data and not run.config.data.flip:
        found.append("Augment, where a mirrored picture is of the same class: --config.data.flip=true")
    return found or ["Stop sooner, or decay: --config.train.patience=3, --config.optimizer.weight_decay=0.1"]


def _size(run: Finished) -> int:
    """Pixels into the network, where the config says them."""
    return int(run.config.data.size) if "size" in run.config.data else 0


def _line(what: str, why: str) -> dict[str, str]:
    return {"what": what, "why": why}
