"""The folder `model/` of a run: weights under their published names, the card, the classes; never code."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import safetensors.numpy

from tljax.atomic import write
from tljax.experiment import Experiment
from tljax.pretrained import publish
from tljax.types import Variables, count

INPUT_KEYS = ("resize", "crop", "size", "channels")


def save(folder: Path, variables: Variables, made: Experiment, config: Any) -> None:
    """Write all that predicting, exporting and transferring again need.

    `model.safetensors` loads in the library whose naming the family speaks; `card.json` is the weights'
    card as it now is; `model.json` holds family, variant, classes in order, the input sizes, and which
    weights training started from ("" for none).
    """
    folder.mkdir(parents=True, exist_ok=True)
    published = made.published
    started_from = (published.card.repository or published.where) if published else ""
    arrays = publish(variables, made.names)
    part = folder / "model.safetensors.part"
    safetensors.numpy.save_file(arrays, part, metadata={"format": "pt"})
    part.replace(folder / "model.safetensors")
    # The weights are new ones: what identified the file they came from no longer holds.
    card = dataclasses.replace(
        made.card,
        family=config.model.family,
        variant=config.model.variant,
        classes=len(made.classes),
        parameters=count(variables["params"]),
        size=config.data.size,
        licence=made.card.licence if started_from else "",  # of the weights these came from
        repository="",
        revision="",
        file="model.safetensors",
        sha256="",
    )
    write(folder / "card.json", json.dumps(card.as_dict(), indent=2))
    model = {
        "family": config.model.family,
        "variant": config.model.variant,
        "task": config.task.name,
        "classes": list(made.classes),
        "started_from": started_from,
        "input": {key: config.data[key] for key in INPUT_KEYS},
    }
    write(folder / "model.json", json.dumps(model, indent=2))
