"""What a run took, and what to try next with the reason."""

from typing import Any

from tljax.reporting import plan_chart
from tljax.reporting.page import charts
from tljax.runs.pages.finished import Finished

ENOUGH = 0.01  # of the metric: smaller differences are no reason to do anything
WIDE = 0.05  # half an interval from which on more test examples are worth it


def gather(run: Finished, baseline: dict[str, Any] | None, slope: float | None, interval: Any) -> dict[str, Any]:
    """Plan, curves, seconds, memory.

    Args:
      baseline: see `answer.gather`.
      slope: what twice the training examples add to the baseline's accuracy; None: not measured.
      interval: of the accuracy, where there is one.
    """
    result, chart = run.result, run.chart
    metrics = [name for name in dict.fromkeys(("loss", result["metric"])) if any(name in row for row in run.log)]
    best = result["step"] if run.chosen else None
    parts = {name: value for name, value in result["seconds"].items() if name != "total" and value}
    return {
        "plan": charts.plan(chart, plan_chart.limits(chart)) if chart else None,
        "curves": charts.curves(run.log, metrics, per_epoch=run.per_epoch, best=best) if chart and metrics else None,
        "seconds": charts.seconds(parts),
        "total": result["seconds"]["total"],
        "memory": result["step_bytes"] / 2**20,
        "trainable": result["parameters"]["trainable"],
        "parameters": result["parameters"]["total"],
        "optimizer": result["optimizer_bytes"] / 2**20,
        "next": advice(run, baseline, slope, interval),
    }


def advice(run: Finished, baseline: dict[str, Any] | None, slope: float | None, interval: Any) -> list[dict[str, str]]:
    """What to try next, each with its reason, the most promising first."""
    best, metrics = run.result["metric"], run.result["metrics"]
    test, found = metrics["test"][best], []
    if baseline and baseline["accuracy"] > test + ENOUGH:
        more = f"{100 * (baseline['accuracy'] - test):.1f} points more, for seconds of work."
        why = f"{baseline['name']} reaches {100 * baseline['accuracy']:.1f} %, {more}"
        found.append(_line("Check the learning rate, or take the probe", why))
    if run.chart and run.chosen and run.result["step"] == run.chart["steps"]:
        epochs = f"--config.train.epochs={2 * run.chart['epochs']:g}"
        found.append(_line(epochs, "The best epoch is the last one: it was still learning."))
    if slope is not None and slope > ENOUGH:
        found.append(_line("More training examples", f"Twice as many add about {100 * slope:.1f} points to a probe."))
    if "train" in metrics and best == "accuracy" and metrics["train"][best] - test > 0.1:
        gap = f"{100 * (metrics['train'][best] - test):.0f} points"
        what = "Hold more of the network still, or augment (--config.strategy.name=lp_ft, --config.data.flip=true)"
        why = f"The training part is {gap} ahead of the test part: examples are learned by heart."
        found.append(_line(what, why))
    if "validation" not in metrics:
        why = "Without one the last epoch is kept, and probabilities are as sure as training left them."
        found.append(_line("A validation part: --config.data.validation=0.1", why))
    if run.made.published and (saw := run.made.card.size) and (gets := _size(run)) and gets < saw:
        found.append(_line(f"--config.data.size={saw}", f"The weights saw pictures of {saw} pixels, and get {gets}."))
    if interval and (interval[1] - interval[0]) / 2 > WIDE:
        half = f"{100 * (interval[1] - interval[0]) / 2:.1f} points"
        found.append(_line("More test examples", f"The interval is {half} to each side: it hides most changes."))
    return found


def _size(run: Finished) -> int:
    """Pixels into the network, where the config says them."""
    return int(run.config.data.size) if "size" in run.config.data else 0


def _line(what: str, why: str) -> dict[str, str]:
    return {"what": what, "why": why}
