"""A run of a classifier that is fitted instead of trained: its features, numbers and files."""

import time
from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict

from tljax.core import settings
from tljax.core.errors import ConfigError
from tljax.core.experiment import Experiment
from tljax.core.trees import count
from tljax.core.types import Batch, Json, Record, Variables
from tljax.data.parts import domains
from tljax.reporting import throughput
from tljax.reporting.report import Report
from tljax.runs import records
from tljax.runs.finish import finish
from tljax.serving import refitted_classifier, saved_model
from tljax.tasks import Task
from tljax.training import features, views
from tljax.training.features import Took
from tljax.training.parallel import Parallel
from tljax.transfer.method import Method
from tljax.transfer.strategy import Fit

# Keys that a fit does not use, and their values if they are not set. Rates, epochs and decay always have a value.
OF_STEPS = {
    "task.class_weights": (),
    "task.label_smoothing": 0,
    "task.mixup": 0,
    "task.cutmix": 0,
    "optimizer.ema": 0,
    "optimizer.swa": 0,
    "optimizer.accumulate": 1,
    "optimizer.clip": 0,
    "optimizer.groups": ConfigDict(),
    "model.drop_path": 0,
    "train.patience": 0,
    "strategy.moving_statistics": (),
    "profile": "",
}


def check(config: ConfigDict) -> None:
    """Raise ConfigError if the config of a strategy with `fit` sets keys that need gradient steps."""
    if ignored := [
        f"{key}={value.to_dict() if isinstance(value, ConfigDict) else value}"
        for key, none in OF_STEPS.items()
        if (value := settings.asks(config, key)) not in (none, None)
    ]:
        raise ConfigError(
            f"config.strategy.name={config.strategy.name} takes no gradient steps, and these keys change nothing else: "
            f"{', '.join(ignored)}. Leave them at their defaults; of one row, `full:task.mixup=0.2` sets them alone."
        )


def run(method: Method, experiment: Experiment, devices: Parallel, report: Report, config: ConfigDict) -> Record:
    """Compute features of all parts, `fit` the classifier to those of the training part, evaluate every part once.

    A linear classifier becomes the head of the network in model/. For any other classifier this head is 0, and the
    training features are saved beside it (`refitted_classifier`).

    Returns:
      The content of result.json.

    Raises:
      ConfigError: labels are not classes, or the config sets keys that need gradient steps.
    """
    task = experiment.task
    if task.LABEL_KIND != "classes":
        has = "no labels" if task.LABEL_KIND == "none" else task.LABEL_KIND
        raise ConfigError(
            f"config.strategy.name={config.strategy.name} needs classes; config.task.name={config.task.name} has "
            f"{has}. Choose linear_probe, which learns a head on the same features, or another strategy."
        )
    with report.opened(experiment.fingerprints()):
        report.begin(config, experiment)
        where, why = views.decide(
            experiment, experiment.stages, config.data, devices, passes=float("inf"), augmented=False
        )
        report.say(f"features: {why}")
        parts = features.vectors(experiment, where or "process", devices, report, config)
        batches = {part: rows.take(np.arange(len(rows))) for part, rows in domains.labelled(parts).items()}
        train = batches["train"]
        began = time.monotonic()
        assert method.fits  # checked by the caller
        together = experiment.parts["train"].subset.together
        fitted = method.fits(train["features"], train["label"], config.strategy, seed=config.seed, together=together)
        seconds = {"train": time.monotonic() - began}
        accuracy = (
            "too few examples for folds" if fitted.accuracy is None else f"{fitted.accuracy:.4f} in cross-validation"
        )
        report.say(f"chose {', '.join(f'{key} {value:g}' for key, value in fitted.chosen.items())}: {accuracy}")
        totals = {part: _totals(task, fitted.scores(batch["features"]), batch) for part, batch in batches.items()}
        temperature = records.temperature(task, totals)
        took = sum((part.took for part in parts.values()), Took())
        result = _result(task, fitted, experiment, totals, method, config) | {
            "seconds": {"features": took.seconds, **seconds},
            "throughput": throughput.padding(took.tokens, took.places),
            "temperature": temperature,
        }

        def save(folder: Path) -> None:
            _save(folder, method.name, fitted, train, experiment, config, temperature)

        return finish(save, result, totals, experiment, devices, report, config)


def _save(
    folder: Path,
    strategy: str,
    fitted: Fit,
    train: Batch,
    experiment: Experiment,
    config: ConfigDict,
    temperature: float,
) -> None:
    """The folder model/."""
    if fitted.linear:
        saved_model.save(
            folder, _with_head(experiment.variables, *fitted.linear), experiment, config, temperature=temperature
        )
        return
    classifier, rows = config.strategy.classifier, train["features"]
    nothing = np.zeros((rows.shape[1], len(experiment.classes))), np.zeros(len(experiment.classes))
    how = {"classifier": classifier, "chosen": fitted.chosen, "seed": config.seed}
    known = {"classifier": classifier, "temperature": temperature}
    saved_model.save(folder, _with_head(experiment.variables, *nothing), experiment, config, **known)
    refitted_classifier.save(folder, rows, train["label"], fitted.scores, strategy=strategy, **how)


def _totals(task: Task, scores: np.ndarray, batch: Batch) -> dict[str, np.ndarray]:
    """What `Evaluator` returns, of scores (N, K) that are there already."""

    @jax.jit
    def computed(logits: jax.Array, batch: Batch) -> dict[str, jax.Array]:
        return task.totals(logits, batch) | task.per_example(logits, batch)

    known = {"label": batch["label"], "mask": np.ones(len(scores), bool)}
    return {name: np.asarray(x) for name, x in computed(np.asarray(scores, np.float32), known).items()}


def _with_head(variables: Variables, kernel: np.ndarray, bias: np.ndarray) -> Variables:
    """The network whose head is the linear classifier, in the head's own precision."""
    head = {"kernel": kernel, "bias": bias}
    head = {name: np.asarray(head[name], array.dtype) for name, array in variables["params"]["head"].items()}
    return {**variables, "params": {**variables["params"], "head": head}}


def _result(
    task: Task, fitted: Fit, experiment: Experiment, totals: Json, method: Method, config: ConfigDict
) -> Record:
    """The content of result.json: the keys that `results.make` gives for a run in steps, and the chosen settings."""
    metrics = {part: task.summarize(sums) for part, sums in totals.items()}
    return {
        "metric": task.BEST_METRIC,
        "metrics": metrics,
        "counts": {part: values["examples"] for part, values in metrics.items()},
        "seed": config.seed,
        **method.named(config.strategy.name),
        "source": domains.source(config.data),
        "step": 0,
        "parameters": {"total": count(experiment.variables["params"]), "trainable": fitted.learned},
        "optimizer_bytes": 0,
        "step_bytes": 0,
        "classifier": {"name": config.strategy.classifier, "accuracy": fitted.accuracy, **fitted.chosen},
    }
