"""Examples with labels for a finished run: from a new folder or table, or from a part of its own data."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from tljax.core import atomic, plugins
from tljax.core.errors import ConfigError, DataError
from tljax.core.near_names import paths
from tljax.core.remote import copies
from tljax.core.types import Dataset, Split
from tljax.data import labels, spelling
from tljax.data.parts import domains, groups, splits, subsets
from tljax.serving import questions, stored_config
from tljax.serving.saved_model import Model
from tljax.tasks import Encodes

FOLDERS = {"picture": "image_folder", "text": "text_folder"}  # the source for a folder, if the run's source has none


@dataclasses.dataclass(frozen=True)
class Labelled:
    """Examples, their names, and their labels in the form of the run's task."""

    asked: Sequence[Any]  # the arguments of `Predictor.rows`
    names: list[str]
    labels: np.ndarray
    notes: tuple[str, ...] = ()  # findings, for the user


def of_data(
    run: Path, model: Model, place: Path, *, split: str = "", columns: Mapping[str, str] | None = None
) -> Labelled:
    """All examples in a folder or a table, read with the settings of the run's training.

    Args:
      split: for a folder of splits, the split to read; "": all.
      columns: "text", "pair", "image" and "label" of a table, if they differ from those in training.

    Raises:
      DataError: there is nothing to read, or the run does not know some labels; all are named.
    """
    file = stored_config.place(run)
    config = stored_config.read(file, model.family) if file else None
    data = _reading(run, model, place, columns or {})
    data.update(dir=str(place), divide=(split,) if split else ())
    dataset = questions.loaded(data)
    _check_kind(dataset, model)
    if split and split not in dataset.splits:
        raise DataError(f"--split must be one of {', '.join(dataset.splits)}; got '{split}'.")
    joined = subsets.Joined(list(dataset.splits.values()))
    kept = bool(config and (config.data.classes or config.data.half))
    positions, found, left = _bound(joined, dataset, model, same=data.similar_labels == "merge", leave_out=kept)
    notes = (*dataset.info.notes, *dataset.info.skipped, *left, *seen(config, place, split))
    return _examples(joined, positions, found, model, notes)


def of_part(run: Path, model: Model, part: str) -> Labelled:
    """A part of the run's own data, with exactly the same examples.

    Raises:
      DataError: there is no such part, or its examples have changed.
      ConfigError: there is only the folder model/, not the run.
    """
    file = config_file(run)
    config = stored_config.read(file, model.family)
    config = copies.localized(config)
    config.model.weights = config.model.tokenizer = str(file.parent / "model")
    dataset = plugins.find_known("sources", config.data.source).load(config.data)
    _check_kind(dataset, model)
    chosen = splits.choose(dataset, config.data, config.seed)
    if chosen.classes != model.classes:
        raise changed(run, f"the classes are {labels.cut(chosen.classes)}")
    subsets = domains.add(chosen.parts, dataset, config.data, config.seed)
    known = list(domains.labelled(subsets))
    if part not in known:
        raise DataError(f"--part must be one of {', '.join(known)}; got '{part}'.")
    if isinstance(model.task, Encodes):
        subsets = {
            name: one if one.labels is None else dataclasses.replace(one, labels=model.task.encode(one.labels))
            for name, one in subsets.items()
        }
    reader = plugins.find("inputs", plugins.find_known("families", model.family).INPUT)
    parts = reader.load(
        subsets, config.data, model=config.model, card=model.card, backbone=model.network.backbone, pretrained=False
    ).parts
    if (was := atomic.read_json(file.parent / "inputs.json").get(part)) != parts[part].fingerprint():
        raise changed(run, f"those of '{part}' are others" if was else f"it has no part '{part}'")
    subset = parts[part].subset
    names = _names(subset.split, subset.indices)
    return Labelled([functools.partial(subset.__getitem__, i) for i in range(len(subset))], names, subset.labels)


def some(run: Path, model: Model, number: int) -> Labelled:
    """At most `number` examples of the run's own test part, from all over it; whether it is as it was is not asked.

    Raises:
      DataError, ConfigError: its data are not there any more.
    """
    file = config_file(run)
    config = stored_config.read(file, model.family)
    config = copies.localized(config)
    dataset = plugins.find_known("sources", config.data.source).load(config.data)
    subset = splits.choose(dataset, config.data, config.seed).parts["test"]
    positions = np.unique(np.linspace(0, len(subset) - 1, number).astype(int))
    asked = [functools.partial(subset.__getitem__, int(i)) for i in positions]
    found = np.zeros(len(positions)) if subset.labels is None else subset.labels[positions]
    return Labelled(asked, _names(subset.split, subset.indices[positions]), found)


def config_file(run: Path) -> Path:
    file = stored_config.place(run)
    if file is None:
        raise ConfigError(f"A run's own parts stand in its config.json; '{run}' has none. Name the run, or give DATA.")
    return file


def _reading(run: Path, model: Model, place: Path, columns: Mapping[str, str]) -> ConfigDict:
    """The settings with which the run read its data; if its source cannot read `place`, those of a folder or table."""
    if not place.exists():
        raise DataError(f"DATA must be a folder or a table with labels; there is no '{place}'.{paths.near(place)}")
    if questions.is_table(str(place)):
        return questions.of_table(run, model, place, columns)
    data = questions.reading(run, model)
    if data is None or "dir" not in data or ("columns" in data and not any(map(questions.is_table, _inside(place)))):
        data = questions.everything(stored_config.of_source(FOLDERS[questions.kind(model)], model.family))
    return data


def _inside(folder: Path) -> list[str]:
    return [str(path) for path in folder.iterdir()]


def seen(config: ConfigDict | None, place: Path, split: str) -> tuple[str, ...]:
    """A note if these are the data that the run was trained on."""
    if config is None or not config.data.get("dir") or Path(config.data.dir).resolve() != place.resolve():
        return ()
    if split and not config.data.fractions and split != config.data.splits.train:
        return ()
    return (
        "these data hold what the run learned from, of which it knows the answers; without DATA its test part counts",
    )


def _check_kind(dataset: Dataset, model: Model) -> None:
    if dataset.info.loaded or dataset.info.labels != model.task.LABEL_KIND:
        raise DataError(
            f"Labels must be {model.task.LABEL_KIND}, as the run's task asks, and known without their examples; "
            f"those of {dataset.info.source} are {dataset.info.labels}."
        )


def _bound(
    split: Split, dataset: Dataset, model: Model, *, same: bool, leave_out: bool
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """(Positions of the used examples, their labels as the run's numbers, notes of examples that are left out).

    Args:
      same: whether classes that differ only in spelling are the same.
      leave_out: whether classes that the run does not name are left out, as in its training.
    """
    found, names = np.asarray(split.labels), dataset.info.classes
    number = {spelling.key(name) if same else name: i for i, name in enumerate(model.classes)}
    new = np.array([number.get(spelling.key(name) if same else name, -1) for name in names])
    unknown = [name for name, i in zip(names, new, strict=True) if i < 0]
    counts = found.sum(axis=0) if found.ndim > 1 else np.bincount(found, minlength=len(names))
    listed = labels.cut([f"{name} ({int(counts[names.index(name)])})" for name in unknown])
    numbers = dataset.info.labels == "numbers"
    if unknown and (numbers or dataset.info.labels == "sets" or not leave_out):
        raise DataError(
            f"Every label must be one that the run knows: {labels.cut(model.classes)}. '{dataset.info.source}' has "
            f"others: {', '.join(unknown) if numbers else listed}. Rename them, or leave their examples out."
        )
    if found.ndim == 1:
        positions = np.flatnonzero(new[found] >= 0)
        left = (f"left out, as in training, the classes {listed}",) if unknown else ()
        return positions, new[found[positions]].astype(np.int32), left
    if numbers and set(new) != set(range(len(model.classes))):
        raise DataError(f"Every number of the run must have a column: {', '.join(model.classes)}.")
    bound = np.zeros((len(found), len(model.classes)), found.dtype)
    bound[:, new] = found
    return np.arange(len(found)), bound, ()


def _examples(split: Split, positions: np.ndarray, found: np.ndarray, model: Model, notes: tuple[str, ...]) -> Labelled:
    if not len(positions):
        raise DataError(f"DATA must hold an example of one of the run's classes: {labels.cut(model.classes)}.")
    if isinstance(model.task, Encodes):
        found = model.task.encode(found)
    asked = [functools.partial(split.__getitem__, int(i)) for i in positions]
    return Labelled(asked, _names(split, positions), found, notes)


def _names(split: Split, positions: np.ndarray) -> list[str]:
    files = groups.files_of(split)
    return [str(files[i]) if files else f"example {i}" for i in map(int, positions)]


def changed(run: Path, why: str) -> DataError:
    return DataError(
        f"A run's own part must hold the examples that it counted; in the data of '{run}' {why}. Put them back as they "
        f"were, or give DATA."
    )
