"""Feature vectors of a finished run's network: the input of its head."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tljax.core.atomic import make_folder, whole
from tljax.core.errors import ConfigError
from tljax.serving import answers
from tljax.serving.predictor import Predictor
from tljax.serving.saved_model import Model

NPZ = ".npz"


def predictor(model: Model, *, batch_size: int) -> Predictor:
    """A `Predictor` of the model that returns features (N, D) float32 instead of logits."""
    return Predictor(dataclasses.replace(model, classifier=lambda rows: rows), batch_size=batch_size)


def save(names: Sequence[str], features: np.ndarray, file: Path) -> None:
    """Write names and features (N, D): in .npz as "id" and "features", else a column "id" and D columns "f0", "f1".

    Raises:
      ConfigError: there is no such format, or the file cannot be written.
    """
    check(file)
    if file.suffix.lower() == NPZ:
        make_folder(file.parent)
        with whole(file) as part, part.open("wb") as out:
            np.savez(out, id=np.array(names, str), features=features)
        return
    answers.save({"id": names, **{f"f{i}": column for i, column in enumerate(features.T)}}, file)


def check(file: Path) -> None:
    """Raise ConfigError if such a file cannot be written."""
    if file.suffix.lower() not in (NPZ, *answers.WRITERS):
        raise ConfigError(f"--out must be a file that ends in {', '.join((NPZ, *answers.WRITERS))}; got '{file}'.")
