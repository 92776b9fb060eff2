"""Soups (Wortsman et al. 2022, arXiv 2203.05482): one network whose weights are the mean of several finished runs'.

Runs that began from the same pretrained weights often lie in one region of low loss. The mean of their weights

    theta = (theta_1 + ... + theta_k) / k

then costs as much as one network, and is often better than the best of them. `uniform` takes all runs. `greedy` (the
paper's recipe 1) begins with the run that is best on the validation part, tries the others from the best to the worst,
and keeps one if the soup with it is at least as good on the validation part. The test part is never used.

Statistics of BatchNorm are averaged too. They are not those of the averaged network; the paper's networks have none.
"""

import dataclasses
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import numpy as np
import safetensors.numpy

from tljax.core.atomic import filled, read_json, sha256, write_json
from tljax.core.errors import DataError
from tljax.core.types import Totals, Variables
from tljax.serving import evaluation, labelled, model_card, saved_model, stored_config
from tljax.serving.predictor import Predictor
from tljax.serving.saved_model import Model
from tljax.tasks import Calibrates

RECIPES = ("uniform", "greedy")  # besides `wise_ft`
PART = "validation"
PARTS = (
    "Give the runs the same data in the same size. A validation part that is drawn from the training part changes with "
    "config.seed: give the runs one seed and other values of config.model.draw or of the optimizer, or a validation "
    "part of its own."
)
# Of inputs.json what all runs of a soup must share -> what to do where they do not.
ALIKE = {
    "classes": "Train all runs on the same data.",
    "weights": "Begin all runs from the same file of config.model.weights, with pictures of one size.",
    PART: PARTS,
    "test": PARTS,
}


class Soup(NamedTuple):
    """The mean of some runs, and what the validation part says of it and of every run."""

    model: Model
    runs: tuple[Path, ...]  # those in the mean
    score: float  # of the soup
    scores: dict[Path, float]  # of every run that was given
    temperature: float
    alpha: float | None = None  # of WiSE-FT: how far along the line (`wise_ft`)
    line: Mapping[float, float] = MappingProxyType({})  # of WiSE-FT: the score at every alpha


def members(places: Sequence[Path]) -> tuple[Path, ...]:
    """The runs in `places`: each a run, or a folder of a suite or a comparison, which holds several."""
    found = [run for place in places for run in ((place,) if (place / "model").is_dir() else _below(place))]
    return tuple(dict.fromkeys(found))


def make(runs: Sequence[Path], recipe: str) -> Soup:
    """The soup of `runs` by one of `RECIPES`.

    Raises:
      DataError: there are fewer than two, they differ in network, classes, first weights or parts, or have no
        validation part.
    """
    if len(runs) < 2:
        raise DataError(f"A soup needs two finished runs or more; got {', '.join(map(str, runs)) or 'none'}.")
    models = loaded(runs)
    first = models[runs[0]]
    totals = measured(runs[0], first)

    def mixed(taken: Sequence[Path]) -> Variables:
        return mean([models[run].variables for run in taken])

    def score(taken: Sequence[Path]) -> float:
        return best_metric(first, totals(mixed(taken)))

    scores = {run: score((run,)) for run in runs}
    taken = greedy(scores, score) if recipe == "greedy" else tuple(runs)
    return of(first, mixed(taken), taken, scores, totals)


def loaded(runs: Sequence[Path]) -> dict[Path, Model]:
    """The models of runs whose weights may be mixed.

    Raises:
      DataError: the runs differ in network, classes, scaling of pixels, first weights or parts, or have no validation
        part.
    """
    check(runs)
    models = {run: saved_model.load(run) for run in runs}
    _check_networks(models)
    return models


def measured(run: Path, model: Model) -> Callable[[Variables], Totals]:
    """A function of variables: the task's totals over the validation part of `run`."""
    examples = labelled.of_part(run, model, PART)
    predictor = Predictor(model, batch_size=_batch_size(run, model))

    def totals(variables: Variables) -> Totals:
        predictor.take(variables)
        return evaluation.totals(predictor, examples)

    return totals


def best_metric(model: Model, totals: Totals) -> float:
    return float(model.task.summarize(totals)[model.task.BEST_METRIC])


def of(
    model: Model,
    variables: Variables,
    runs: Sequence[Path],
    scores: dict[Path, float],
    totals: Callable[[Variables], Totals],
) -> Soup:
    """The soup with these variables, with its score and its temperature on the validation part."""
    found = totals(variables)
    temperature = model.task.temperature(found) if isinstance(model.task, Calibrates) else 1.0
    model = dataclasses.replace(model, variables=variables)
    return Soup(model, tuple(runs), best_metric(model, found), scores, temperature)


def greedy(scores: dict[Path, float], score: Callable[[Sequence[Path]], float]) -> tuple[Path, ...]:
    """The runs of the greedy soup.

    Args:
      scores: of every run by itself; the larger the better.
      score: of the mean of some.
    """
    best, *others = sorted(scores, key=lambda run: -scores[run])
    taken, reached = (best,), scores[best]
    for run in others:
        if (value := score((*taken, run))) >= reached:
            taken, reached = (*taken, run), value
    return taken


def mean(variables: Sequence[Variables]) -> Variables:
    """The mean of every array, added up in float64; of one run, its own arrays to the last bit."""

    def of(*leaves: np.ndarray) -> np.ndarray:
        return np.mean([np.asarray(leaf, np.float64) for leaf in leaves], axis=0).astype(leaves[0].dtype)

    return jax.tree.map(of, *variables)


def save(soup: Soup, folder: Path) -> None:
    """Write `folder` as a run that predict, evaluate and export take, with soup.json, which says what is in it."""
    first = soup.runs[0]
    with filled(folder / "model"):
        measured = shutil.ignore_patterns(model_card.FILE)  # numbers of the first run
        shutil.copytree(first / "model", folder / "model", ignore=measured, dirs_exist_ok=True)
        model = soup.model
        arrays = saved_model.published_arrays(model.variables, model.names, model.family)
        safetensors.numpy.save_file(arrays, folder / "model" / "model.safetensors", metadata={"format": "pt"})
        _rewritten(folder / "model" / "card.json", sha256=sha256(folder / "model" / "model.safetensors"))
        _rewritten(folder / "model" / "model.json", temperature=soup.temperature)
    for name in (stored_config.FILE, "inputs.json"):
        shutil.copyfile(first / name, folder / name)
    scores = {str(run): score for run, score in soup.scores.items()}
    line = {"alpha": soup.alpha, "alphas": {str(alpha): x for alpha, x in soup.line.items()}} if soup.line else {}
    write_json(folder / "soup.json", {"runs": list(map(str, soup.runs)), PART: soup.score, "alone": scores, **line})


def check(runs: Sequence[Path]) -> None:
    """Raise DataError if the runs did not begin from the same weights, or their parts are not the same."""
    facts = {run: read_json(run / "inputs.json") for run in runs}
    first = facts[runs[0]]
    if not first.get("weights"):
        raise DataError(
            f"Runs of a soup must begin from the same pretrained weights; '{runs[0]}' began from none. Networks from "
            f"different random weights have no useful mean."
        )
    if PART not in first:
        raise DataError(f"Runs of a soup need a validation part; '{runs[0]}' has none. Set config.data.validation.")
    unlike = {run: [key for key in ALIKE if facts[run].get(key) != first.get(key)] for run in runs}
    if faults := [f"{run}: {', '.join(keys)}" for run, keys in unlike.items() if keys]:
        cures = list(dict.fromkeys(ALIKE[key] for key in ALIKE if any(key in keys for keys in unlike.values())))
        other_data = any("classes" in keys for keys in unlike.values())  # then the parts cannot be the same
        raise DataError(
            f"Runs of a soup must share {', '.join(ALIKE)}. Those of '{runs[0]}' differ from:\n  "
            + "\n  ".join(faults)
            + "\n"
            + " ".join(cures[:1] if other_data else cures)
        )


def _check_networks(models: dict[Path, Model]) -> None:
    first, *others = models
    if classifiers := [str(run) for run, model in models.items() if model.classifier]:
        raise DataError(f"A soup averages heads; these runs have another classifier: {', '.join(classifiers)}.")
    shapes = {run: jax.tree.map(lambda x: (x.shape, str(x.dtype)), model.variables) for run, model in models.items()}
    if faults := [
        str(run) for run in others if shapes[run] != shapes[first] or models[run].input != models[first].input
    ]:
        raise DataError(f"Runs of a soup must have the network and input of '{first}'; others: {', '.join(faults)}.")
    if faults := [str(run) for run in others if _scaling(models[run]) != _scaling(models[first])]:
        raise DataError(f"Runs of a soup must have the scaling of pixels of '{first}'; others: {', '.join(faults)}.")


def _scaling(model: Model) -> tuple[Any, ...]:
    """What a network is given: runs of one soup are asked in one way, that of the first."""
    return model.card.mean, model.card.std, model.card.interpolation


def _below(folder: Path) -> list[Path]:
    return sorted(file.parent.parent for file in folder.glob("**/seed*/model/model.json"))


def _batch_size(run: Path, model: Model) -> int:
    return stored_config.read(labelled.config_file(run), model.family).train.eval_batch_size


def _rewritten(file: Path, **changes: Any) -> None:
    write_json(file, json.loads(file.read_text(encoding="utf-8")) | changes)
