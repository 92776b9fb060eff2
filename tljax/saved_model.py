"""The folder `model/` of a run: weights under their published names, the card, the classes; never code."""

import dataclasses
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from tljax.pretrained import publish
from tljax.types import Card, Name, Variables

INPUT_KEYS = ("resize", "crop", "size", "channels")


def save(
    folder: Path,
    variables: Variables,
    names: Iterable[Name],
    *,
    card: Card,
    classes: Sequence[str],
    config: Any,
) -> None:
    """Write all that predicting, exporting and transferring again need.

    `model.safetensors` loads in the library whose naming the family speaks; `card.json` is the weights'
    card as it now is; `model.json` holds family, variant, classes in order and the input sizes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays = publish(variables, names)
    part = folder / "model.safetensors.part"
    safetensors.numpy.save_file(arrays, part, metadata={"format": "pt"})
    part.replace(folder / "model.safetensors")
    size = sum(int(np.prod(leaf.shape)) for name, leaf in arrays.items() if "running_" not in name)
    # The weights are new ones: what identified the file they came from no longer holds.
    card = dataclasses.replace(
        card,
        family=config.model.family,
        variant=config.model.variant,
        classes=len(classes),
        parameters=size,
        size=config.data.size,
        revision="",
        file="model.safetensors",
        sha256="",
    )
    (folder / "card.json").write_text(json.dumps(card.as_dict(), indent=2))
    model = {
        "family": config.model.family,
        "variant": config.model.variant,
        "task": config.task.name,
        "classes": list(classes),
        "input": {key: config.data[key] for key in INPUT_KEYS},
    }
    (folder / "model.json").write_text(json.dumps(model, indent=2))
