"""Evaluate a finished run on examples with labels, by the sums and metrics of its own evaluation."""

import warnings
from typing import Any

import jax
import numpy as np

from tljax.core.errors import DataError
from tljax.core.types import Batch, Record, Totals
from tljax.data import labels
from tljax.data.batches import Evaluation
from tljax.reporting import significance
from tljax.serving.labelled import Labelled
from tljax.serving.predictor import Predictor
from tljax.serving.saved_model import Model
from tljax.tasks import HasInterval, Task
from tljax.training import parallel
from tljax.training.evaluate import Evaluator


class _Answered:
    """Logits and labels of examples, in the form of a part for evaluation."""

    in_memory, views = True, 1

    def __init__(self, logits: Any, found: np.ndarray) -> None:
        self._logits, self._labels = logits, found

    def __len__(self) -> int:
        return len(self._labels)

    def take(self, positions: np.ndarray) -> Batch:
        return {"logits": jax.tree.map(lambda rows: rows[positions], self._logits), "label": self._labels[positions]}


def totals(predictor: Predictor, examples: Labelled, *, skip: bool = False) -> dict[str, np.ndarray]:
    """The task's sums over the examples, and its values for each, as in the run's own evaluation.

    Args:
      skip: whether unreadable examples are left out with a warning, as in the run's training; else they are an error.

    Raises:
      DataError: examples are unreadable; all are named.
    """
    found, faults, kept, place = [], [], [], 0
    for some, wrong, rows in predictor.rows(examples.asked):
        faults += [f"{examples.names[place + i]}: {why}" for i, why in wrong.items()]
        kept += [place + i for i in range(len(some)) if i not in wrong]
        found += [rows] if len(wrong) < len(some) else []
        place += len(some)
    if faults and not (skip and kept):
        raise DataError(
            f"Every example must be readable; {len(faults)} of {place} are not:\n  "
            + "\n  ".join(faults[: labels.SHOWN])
            + (f"\n  and {len(faults) - labels.SHOWN} more" if len(faults) > labels.SHOWN else "")
        )
    if faults:
        warnings.warn(f"{len(faults)} of {place} cannot be read and are left out: {'; '.join(faults)}", stacklevel=2)
    task, logits = predictor.model.task, jax.tree.map(lambda *parts: np.concatenate(parts), *found)
    batches = Evaluation(_Answered(logits, examples.labels[kept]), batch_size=predictor.batch_size)
    step = lambda _, batch: (task.totals(batch["logits"], batch), task.per_example(batch["logits"], batch))  # noqa: E731
    return Evaluator(step, parallel.alone())({}, batches)


def summary(model: Model, found: dict[str, np.ndarray]) -> Record:
    """Metrics, the name of the main one, its 95 % interval if it has one, and metrics of each class."""
    metrics = measured(model.task, found)
    value = metrics[model.task.BEST_METRIC]
    return {
        "metric": model.task.BEST_METRIC,
        "value": value,
        "interval": significance.of_part(model.task.BEST_METRIC, metrics),
        "metrics": metrics,
        "classes": [_of_class(*row) for row in _counts(model, found)],
    }


def measured(task: Task, totals: Totals) -> dict[str, float]:
    """The metrics of a part, with the ends of the main one's interval, if the task has one."""
    metrics, names = task.summarize(totals), significance.ends(task.BEST_METRIC)
    found = task.interval(totals) if isinstance(task, HasInterval) else None
    return metrics | (dict(zip(names, found, strict=True)) if found else {})


def _counts(model: Model, found: dict[str, np.ndarray]) -> list[tuple[str, int, int, int]]:
    """For every class: its name, and how many examples have it as label, as prediction, and as both; else []."""
    if "hits" not in found:
        return []
    labels, said, hits = (np.asarray(found[name]) for name in ("labels", "predicted", "hits"))
    return [(name, int(labels[k]), int(said[k]), int(hits[k])) for k, name in enumerate(model.classes)]


def _of_class(name: str, examples: int, said: int, hits: int) -> Record:
    """Metrics of a class; None if undefined: a class without examples has no recall."""
    return {
        "class": name,
        "examples": examples,
        "recall": hits / examples if examples else None,
        "interval": significance.wilson(hits / examples, examples) if examples else None,
        "precision": hits / said if said else None,
        "f1": 2 * hits / (examples + said) if examples + said else None,
    }
