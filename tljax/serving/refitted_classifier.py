"""A classifier in model/ that is not a layer of a network: its training features, from which it is fitted again.

Such classifiers can only be saved as a pickle, which is code; the same fit of the same rows gives the same classifier.
"""

import importlib.metadata
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from tljax.core import plugins, untrusted
from tljax.core.atomic import whole
from tljax.core.errors import WeightsError

FILE = "classifier.safetensors"
CHECKED = 32  # rows whose scores are saved, to check that the classifier is the same
PACKAGES = ("scikit-learn", "numpy")  # the packages that fit it

Scores = Callable[[np.ndarray], np.ndarray]  # features (N, D) -> (N, K)


def save(
    folder: Path, rows: np.ndarray, labels: np.ndarray, scores: Scores, *, strategy: str, **how: str | int | Mapping
) -> None:
    """Write `FILE`: features (N, D) float32, labels (N,), and the other arguments for `refit` of `strategy`.

    Args:
      scores: those of the fitted classifier.
      how: keyword arguments of `refit`.
    """
    arrays = {"features": rows, "labels": labels, "scores": scores(rows[:CHECKED])}
    about = {"strategy": strategy, "how": how, "packages": _packages()}
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    with whole(folder / FILE) as part:
        safetensors.numpy.save_file(arrays, part, metadata={"about": json.dumps(about)})


def load(folder: Path) -> Scores:
    """The saved classifier, fitted again.

    Raises:
      WeightsError: the file is missing or damaged, or this fit gives another classifier.
    """
    file = folder / FILE
    try:
        with safetensors.safe_open(file, "np") as opened:
            about = untrusted.parse(opened.metadata()["about"])
            rows, labels, expected = (opened.get_tensor(name) for name in ("features", "labels", "scores"))
    except (OSError, KeyError, TypeError, ValueError, safetensors.SafetensorError) as error:
        raise WeightsError(
            f"'{file}' must hold what the run's classifier was fitted to: {error}. Run it again."
        ) from error
    scores = plugins.find_known("strategies", about["strategy"]).refit(rows, labels, **about["how"])
    if not np.allclose(scores(rows[:CHECKED]), expected, rtol=1e-5, atol=1e-6):
        raise WeightsError(
            f"The classifier of '{folder}' must be fitted again as it was, and comes out otherwise: then with "
            f"{_said(about['packages'])}, now {_said(_packages())}. Install those, or run it again in another folder."
        )
    return scores


def _packages() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def _said(packages: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in packages.items())
