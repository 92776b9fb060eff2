"""Which of a network's outputs an explanation is about: a class, a label of a set, or a number."""

from pathlib import Path

import numpy as np

from tljax.core.errors import ConfigError
from tljax.serving.saved_model import Model

KINDS = ("classes", "sets", "numbers")  # kinds of labels with an output (K,) for each example


def check(model: Model, run: Path) -> None:
    """Raises ConfigError if the run's answers are no classes, sets or numbers."""
    if model.task.LABEL_KIND not in KINDS:
        raise ConfigError(
            f"What is explained must be a class, a label of a set or a number; the run '{run}' answers with "
            f"{model.task.LABEL_KIND}. Name a run of config.task.name=classification, multilabel or regression."
        )


def most(kind: str, output: np.ndarray, count: int) -> list[int]:
    """The outputs that are explained if none is named: the most probable class, the `count` most probable labels of a
    set, the first `count` numbers.

    Args:
      output: of the task for one example, (K,).
    """
    if kind == "numbers":
        return list(range(min(count, len(output))))
    order = [int(i) for i in np.argsort(-np.asarray(output), kind="stable")]
    return order[:1] if kind == "classes" else order[:count]


def said(kind: str, name: str, value: float) -> str:
    """An output in words: "ant 0.8312" or "price 1.234e+05"."""
    return f"{name} {value:.6g}" if kind == "numbers" else f"{name} {value:.4f}"
