"""What finished runs answer for the training part of another: the teachers of a strategy (`transfer.strategy`)."""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from tljax.core.errors import ConfigError, DataError
from tljax.core.experiment import Experiment
from tljax.core.remote import copies
from tljax.core.types import Record
from tljax.runs import chosen_run
from tljax.serving import embedding, saved_model
from tljax.serving.predictor import Predictor
from tljax.serving.saved_model import Model
from tljax.transfer.method import Method


def beside(experiment: Experiment, method: Method, config: ConfigDict) -> Experiment:
    """The experiment with the answers of the strategy's teachers beside its training examples.

    Raises:
      ConfigError: pictures are augmented, or no teacher is named.
      DataError: a teacher is no finished run, has other classes, or cannot read an example.
    """
    if not method.taught:
        return experiment
    places = method.taught.teachers(config.strategy)
    if not places:
        raise ConfigError(
            f"config.strategy.name={method.name} needs config.strategy.teachers: folders of finished runs. "
            f"Train a larger network first, and name its folder: --config.strategy.teachers=\"('runs/large',)\"."
        )
    if experiment.augmented:
        raise ConfigError(
            f"config.strategy.name={method.name} asks its teachers once for every picture, and these are augmented: "
            f"the network would see others than they. Set config.data.augment=false."
        )
    answers = [_asked(copies.local(place), experiment, config) for place in places]
    logits, features = zip(*answers, strict=True)
    labels = experiment.parts["train"].subset.labels
    notes = [
        f"teacher: '{place}', asked once for all {len(labels):,} training examples; right on "
        f"{(rows.argmax(axis=-1) == labels).mean():.1%} of them"
        for place, rows in zip(places, logits, strict=True)
    ]
    beside = method.taught.answers(logits, features, config.strategy)
    return dataclasses.replace(experiment, beside=beside, notes=(*experiment.notes, *notes))


def _asked(place: Path, experiment: Experiment, config: ConfigDict) -> tuple[np.ndarray, np.ndarray]:
    """A teacher's logits (N, K), in the order of the run's classes, and features (N, D), of the training part."""
    folder, _ = chosen_run.of(place)
    model = saved_model.load(folder)
    places = order(folder, model, experiment.classes)
    subset = experiment.parts["train"].subset
    examples = [partial(subset.__getitem__, i) for i in range(len(subset))]
    size = config.train.eval_batch_size
    logits, features = (
        _all(folder, asked, examples)
        for asked in (Predictor(model, batch_size=size), embedding.predictor(model, batch_size=size))
    )
    return logits[:, places], features


def _all(folder: Path, asked: Predictor, examples: Sequence[Callable[[], Record]]) -> np.ndarray:
    """What a teacher gives for all examples, (N, ...)."""
    parts = []
    for _, faults, rows in asked.rows(examples):
        if faults:
            raise DataError(f"The teacher '{folder}' cannot read a training example: {next(iter(faults.values()))}")
        parts.append(rows)
    return np.concatenate(parts)


def order(folder: Path, model: Model, classes: Sequence[str]) -> list[int]:
    """Where the run's classes stand among the teacher's."""
    if model.classifier or model.task.LABEL_KIND != "classes":
        raise DataError(
            f"A teacher must have a head for classes; '{folder}' has none. Name a run that was trained in steps."
        )
    if sorted(model.classes) != sorted(classes):
        raise DataError(
            f"A teacher must have the classes of the run, by name. Those of '{folder}' are {', '.join(model.classes)}; "
            f"the run has {', '.join(classes)}. Name another teacher, or choose the data's classes by "
            f"config.data.classes."
        )
    return [model.classes.index(name) for name in classes]
