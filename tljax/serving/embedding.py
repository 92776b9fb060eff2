"""Feature vectors of a finished run's network: what its head is given."""

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
    """What gives features (N, D) float32 where a `Predictor` of the model gives logits."""
    return Predictor(dataclasses.replace(model, classifier=lambda rows: rows), batch_size=batch_size)


def save(names: Sequence[str], features: np.ndarray, file: Path) -> None:
    """Write names and features (N, D): in .npz as "id" and "features", else a column "id" and D columns "f0", "f1".

    Raises:
      ConfigError: no such format; the place takes no files.
    """
    check(file)
    if file.suffix.lower() == NPZ:
        make_folder(file.parent)
        with whole(file) as part, part.open("wb") as out:
            np.savez(out, id=np.array(names, str), features=features)
        return
    answers.save({"id": names, **{f"f{i}": column for i, column in enumerate(features.T)}}, file)


def check(file: Path) -> None:
    """Raise ConfigError where no such file can be written."""
    if file.suffix.lower() not in (NPZ, *answers.WRITERS):
        raise ConfigError(f"--out must be a file that ends in {', '.join((NPZ, *answers.WRITERS))}; got '{file}'.")
