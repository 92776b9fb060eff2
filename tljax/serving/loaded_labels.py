"""Evaluation where labels are loaded with their pictures, maps and boxes: by the run's own road, window and all."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from tljax.core import atomic, plugins
from tljax.core.errors import DataError
from tljax.core.remote import copies
from tljax.core.types import IGNORED, Inputs, Record, Split
from tljax.data import labels
from tljax.data.batches import Evaluation
from tljax.data.masks import class_file
from tljax.data.parts import domains, groups, splits, subsets
from tljax.data.parts.subsets import Subset
from tljax.serving import labelled, questions, stored_config
from tljax.serving.maps import pixel_maps
from tljax.serving.saved_model import Model
from tljax.tasks import JudgesInOwnSize
from tljax.training import parallel
from tljax.training.evaluate import Evaluator
from tljax.training.train_step import make_eval_step

LOADED = ("maps", "boxes")


class Renumbered:
    """A split whose classes have the numbers of a run."""

    labels = None

    def __init__(self, split: Split, numbers: np.ndarray, kind: str) -> None:
        """`numbers[i]` is the run's number of the split's class i."""
        self._split, self._numbers, self._kind = split, numbers, kind
        self.files = groups.files_of(split)

    def __len__(self) -> int:
        return len(self._split)

    def __getitem__(self, index: int) -> Record:
        example = self._split[index]
        label = np.array(example["label"])
        if self._kind == "boxes":
            label[:, 4] = self._numbers[label[:, 4].astype(int)]
        else:
            known = label != IGNORED
            label[known] = self._numbers[label[known]]
        return {**example, "label": label}


def of_part(run: Path, model: Model, part: str) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """(The task's totals of a part of the run's own data, notes for the user).

    Raises:
      DataError: there is no such part, or its examples have changed.
      ConfigError: there is only the folder model/, not the run.
    """
    file = labelled.config_file(run)
    config = stored_config.read(file, model.family)
    config = copies.localized(config)
    dataset = plugins.find_known("sources", config.data.source).load(config.data)
    _check_kind(dataset.info.labels, model, dataset.info.source)
    chosen = splits.choose(dataset, config.data, config.seed)
    subsets = domains.add(chosen.parts, dataset, config.data, config.seed)
    if part not in (known := list(domains.labelled(subsets))):
        raise DataError(f"--part must be one of {', '.join(known)}; got '{part}'.")
    inputs = _inputs(subsets, model, config)
    was = atomic.read_json(file.parent / "inputs.json").get(part)
    if chosen.classes != model.classes or was != inputs.parts[part].fingerprint():
        raise labelled.changed(run, f"those of '{part}' are others")
    return _totals(inputs, part, model, config.train.eval_batch_size), ()


def of_data(
    run: Path, model: Model, place: Path, *, split: str, masks: str = ""
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """The same of all pictures in `place`, read by the run's source.

    Args:
      masks: the folder of their masks; "": it is found in `place`.

    Raises:
      DataError: there is nothing to read, or the run does not know some classes; all are named.
    """
    file = stored_config.place(run)
    if file is None:
        raise DataError(f"The run's config.json says how its {model.task.LABEL_KIND} are read; '{run}' has none.")
    config = stored_config.read(file, model.family)
    config = copies.localized(config)
    seen, data = labelled.seen(config, place, split), questions.everything(config)
    data.update(dir=str(place), divide=(split,) if split else (), near_copies=-1)
    if "masks" in data:
        data.masks = masks
        if beside := class_file.find(place, Path(masks) if masks else place):
            data.class_file = str(beside)
    dataset = questions.loaded(data)
    _check_kind(dataset.info.labels, model, dataset.info.source)
    if unknown := [name for name in dataset.info.classes if name not in model.classes]:
        raise DataError(
            f"Every class must be one that the run knows: {labels.cut(model.classes)}. '{dataset.info.source}' has "
            f"others: {labels.cut(unknown)}. Rename them, or leave them out."
        )
    numbers = np.array([model.classes.index(name) for name in dataset.info.classes])
    info = dataclasses.replace(dataset.info, classes=model.classes)
    joined = Renumbered(subsets.Joined(list(dataset.splits.values())), numbers, info.labels)
    everything = Subset(joined, np.arange(len(joined)), None, info=info)
    config.data = data
    inputs = _inputs({"train": everything}, model, config)
    totals = _totals(inputs, "train", model, config.train.eval_batch_size)
    return totals, (*dataset.info.notes, *dataset.info.skipped, *seen)


def _inputs(subsets: dict[str, Subset], model: Model, config: ConfigDict) -> Inputs:
    reader = plugins.find("inputs", plugins.find_known("families", model.family).INPUT)
    card, backbone = model.card, model.network.backbone
    return reader.load(subsets, config.data, model=config.model, card=card, backbone=backbone, pretrained=False)


def _totals(inputs: Inputs, part: str, model: Model, batch_size: int) -> dict[str, np.ndarray]:
    devices = parallel.alone()
    size = -(-batch_size // devices.devices) * devices.devices
    examples = Evaluation(inputs.parts[part], batch_size=size)
    if isinstance(model.task, JudgesInOwnSize):
        return pixel_maps.of_model(model, inputs.prepare, examples, inputs.parts[part].subset, devices)
    step: Any = make_eval_step(model.network, model.task, inputs.prepare)
    return Evaluator(step, devices)(devices.put_state(jax.tree.map(np.asarray, model.variables)), examples)


def _check_kind(kind: str, model: Model, source: str) -> None:
    if kind != model.task.LABEL_KIND:
        raise DataError(
            f"Labels must be {model.task.LABEL_KIND}, as the run's task asks; those of {source} are {kind}."
        )
