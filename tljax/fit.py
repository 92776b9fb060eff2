"""A classifier that is fitted at once, in the place of the training loop: its features, numbers and files."""

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import jax.numpy as jnp
import numpy as np

from tljax import domains, features, saved_model, views
from tljax.errors import ConfigError
from tljax.experiment import Experiment
from tljax.parallel import Parallel
from tljax.report import Report
from tljax.types import Batch, Variables, count


def run(
    strategy: ModuleType, made: Experiment, task: Any, devices: Parallel, report: Report, config: Any, workdir: Path
) -> dict[str, Any]:
    """Features of all parts, `strategy.fit` on those of the training part, then every part's numbers, once.

    A linear classifier becomes the head of the network in model/; any other is not saved: the same command on the
    same features gives the same one.

    Returns:
      The content of result.json.

    Raises:
      ConfigError: labels are no classes.
    """
    if (has := getattr(task, "LABELS", "no labels")) != "classes":
        raise ConfigError(
            f"config.strategy.name={config.strategy.name} tells classes apart; config.task.name={config.task.name} has "
            f"{has}. Choose linear_probe, which learns a head on the same features, or another strategy."
        )
    report.open(made.fingerprints())
    report.inputs(config, made)
    where, why = views.decide(made, made.stages, config.data, devices, passes=float("inf"), augmented=False)
    report.say(f"features: {why}")
    parts, _ = features.cached(made, None, where or "process", devices, report, config)
    batches = {part: rows.take(np.arange(len(rows))) for part, rows in domains.labelled(parts).items()}
    train = batches["train"]
    began = time.monotonic()
    fitted = strategy.fit(train["features"], train["label"], config.strategy, seed=config.seed)
    report.seconds["train"] = time.monotonic() - began
    held = "too few examples for folds" if fitted.accuracy is None else f"{fitted.accuracy:.4f} in cross-validation"
    report.say(f"chose {', '.join(f'{key} {value:g}' for key, value in fitted.chosen.items())}: {held}")
    totals = {part: _totals(task, fitted.scores(batch["features"]), batch) for part, batch in batches.items()}
    if fitted.linear:
        saved_model.save(workdir / "model", _with_head(made.variables, *fitted.linear), made, config)
    else:
        report.say(f"'{config.strategy.classifier}' is no layer of a network: there is no model/ to predict with")
    return report.finish(_result(task, fitted, made, totals, config), totals, partial(task.files, classes=made.classes))


def _totals(task: Any, scores: np.ndarray, batch: Batch) -> dict[str, np.ndarray]:
    """What `Evaluator` returns, of scores (N, K) that are there already."""
    logits, batch = jnp.asarray(scores, jnp.float32), {**batch, "mask": np.ones(len(scores), bool)}
    return {name: np.asarray(x) for name, x in (task.sums(logits, batch) | task.each(logits, batch)).items()}


def _with_head(variables: Variables, kernel: np.ndarray, bias: np.ndarray) -> Variables:
    """The network whose head is the linear classifier, in the head's own precision."""
    head = {"kernel": kernel, "bias": bias}
    head = {name: np.asarray(head[name], array.dtype) for name, array in variables["params"]["head"].items()}
    return {**variables, "params": {**variables["params"], "head": head}}


def _result(task: Any, fitted: Any, made: Experiment, totals: Mapping[str, Any], config: Any) -> dict[str, Any]:
    """The content of result.json, as `results.make` has it for a run in steps; and what was chosen."""
    metrics = {part: task.summarize(sums) for part, sums in totals.items()}
    return {
        "metric": task.BEST,
        "metrics": metrics,
        "counts": {part: values["examples"] for part, values in metrics.items()},
        "seed": config.seed,
        "strategy": config.strategy.name,
        "source": domains.source(config.data),
        "step": 0,
        "parameters": {"total": count(made.variables["params"]), "trainable": fitted.learned},
        "optimizer_bytes": 0,
        "classifier": {"name": config.strategy.classifier, "accuracy": fitted.accuracy, **fitted.chosen},
    }
