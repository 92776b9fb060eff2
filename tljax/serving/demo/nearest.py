"""The training examples whose features are nearest to those of a new example."""

from pathlib import Path
from typing import Any

import numpy as np

from tljax.core.errors import ConfigError, TljaxError
from tljax.core.types import Json, Record
from tljax.core.untrusted import printable
from tljax.reporting.page import pictures
from tljax.serving import embedding, labelled, questions
from tljax.serving.labelled import Labelled
from tljax.serving.saved_model import Model

SHOWN = 6
BATCH = 32  # training examples at a time
PASSAGE = 280  # characters that are shown of a text
TINY = 1e-12  # replaces the length 0 of a feature vector


class Nearest:
    """Training examples with their features; similarity is the cosine of the angle between two feature vectors."""

    def __init__(self, model: Model, examples: Labelled, most: int) -> None:
        """Compute the features of at most `most` examples, from all over the part."""
        self._model = model
        self._one = embedding.predictor(model, batch_size=1)
        positions = np.unique(np.linspace(0, len(examples.asked) - 1, min(most, len(examples.asked))).astype(int))
        asked, kept, features = [examples.asked[i] for i in positions], [], []
        for some, faults, rows in embedding.predictor(model, batch_size=min(BATCH, len(asked))).rows(asked):
            kept += [i not in faults for i in range(len(some))]
            features += [rows] if len(faults) < len(some) else []
        self._positions, self._examples = positions[np.array(kept)], examples
        self._features = _unit(np.concatenate(features))
        self.note = f"compared with {len(self._positions):,} of {len(examples.asked):,} training examples"

    def of(self, asked: Any) -> list[Record]:
        """What to show of the nearest examples, the nearest first."""
        ((_, faults, rows),) = self._one.rows([asked])
        if faults:
            raise faults[0]
        similarity = self._features @ _unit(rows)[0]
        order = np.argsort(-similarity, kind="stable")[:SHOWN]
        return [self._shown(int(self._positions[i])) | {"similarity": float(similarity[i])} for i in order]

    def _shown(self, i: int) -> Record:
        name, label = printable(self._examples.names[i]), self._label(i)
        found: Record = {"name": name, "label": label}
        example: Json = self._examples.asked[i]()
        if questions.kind(self._model) == "text":
            return found | {"text": _cut(example["text"]), "pair": _cut(example["pair"])}
        drawn = pictures.thumbnail(self._model.asked.read(example), "")
        return found | {"source": drawn.source, "alternative": f"training example {Path(name).name}, {label}"}

    def _label(self, i: int) -> str:
        """Its classes or numbers."""
        label, classes = self._examples.labels[i], self._model.classes
        if self._model.task.LABEL_KIND == "numbers":
            own = self._model.task.outputs(label[None])[0]
            return ", ".join(f"{name} {value:.6g}" for name, value in zip(classes, own, strict=True))
        return ", ".join(classes[k] for k in (np.flatnonzero(label) if np.ndim(label) else [int(label)])) or "none"


def find(run: Path, model: Model, most: int) -> tuple[Nearest | None, str]:
    """(The training examples of a run, "") or (None, why they cannot be shown)."""
    if not most:
        return None, "The nearest training examples were left out (--nearest 0)."
    try:
        if model.network.reads:
            raise ConfigError("this network's head reads several stages, not one feature vector.")
        return Nearest(model, labelled.of_part(run, model, "train"), most), ""
    except (TljaxError, OSError) as error:
        return None, f"No nearest training examples: {error}"


def _unit(rows: np.ndarray) -> np.ndarray:
    """Rows (N, D) of length 1."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), TINY)


def _cut(text: str) -> str:
    return printable(text if len(text) <= PASSAGE else f"{text[:PASSAGE]}…")
