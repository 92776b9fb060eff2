"""The folder `model/` of a run: weights under their published names, the card, the classes; never code."""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import safetensors.numpy

from tljax import pictures, placement, preprocess, pretrained
from tljax.atomic import write
from tljax.batches import one_shape
from tljax.errors import ConfigError, DataError
from tljax.experiment import Experiment
from tljax.network import Network
from tljax.plugins import find
from tljax.preprocess import Prepare
from tljax.types import EVALUATE, Card, Name, Variables, count


@dataclasses.dataclass(frozen=True)
class Model:
    """What a run learned, ready to be asked or exported."""

    family: str
    variant: Any  # a name in the family's table, or sizes of its own
    network: Network
    variables: Variables  # on the host
    names: tuple[Name, ...]
    classes: tuple[str, ...]  # logit i is of classes[i]
    card: Card
    input: Mapping[str, int]  # resize, crop, size, channels
    prepare: Prepare

    @property
    def stored(self) -> tuple[int, int, int]:
        """(S, S, C) of the pictures that `logits` takes."""
        return self.input["resize"], self.input["resize"], self.input["channels"]

    def read(self, picture: Path) -> np.ndarray:
        """A picture as the run's examples were stored, uint8 (S, S, C); ValueError if it is unreadable."""
        image = pictures.read(picture, channels=self.input["channels"])
        return pictures.fit(image, self.input["resize"], interpolation=self.card.interpolation)

    def logits(self, variables: Variables, images: jax.Array) -> jax.Array:
        """What the run's evaluation computes: stored pictures (B, S, S, C) uint8 to logits (B, K). Pure."""
        inputs = self.prepare({"image": images}, jax.random.key(0), False)
        return self.network.apply(variables, inputs, EVALUATE)  # pyright: ignore[reportReturnType]


def save(folder: Path, variables: Variables, made: Experiment, config: Any) -> None:
    """Write all that predicting, exporting and transferring again need.

    `model.safetensors` loads in the library whose naming the family speaks; `card.json` is the weights'
    card as it now is; `model.json` holds family, variant (its name or its sizes), dtype of the computation,
    classes in order, the sizes of pictures, and which weights training started from ("" for none).
    """
    folder.mkdir(parents=True, exist_ok=True)
    started_from = (made.published.card.repository or made.published.where) if made.published else ""
    part = folder / "model.safetensors.part"
    arrays = published_arrays(variables, made.names, config.model.family)
    safetensors.numpy.save_file(arrays, part, metadata={"format": "pt"})
    part.replace(folder / "model.safetensors")
    sizes = _sizes(made, config)
    made.save_inputs(folder)
    # The weights are new ones: what identified the file they came from no longer holds.
    card = dataclasses.replace(
        made.card,
        family=config.model.family,
        variant=made.variant if isinstance(made.variant, str) else pretrained.AUTO,
        classes=len(made.classes),
        parameters=count(variables["params"]),
        gflops=0.0,
        size=sizes.get("size", 0),
        crop=(sizes["crop"] or sizes["resize"]) / sizes["resize"] if sizes else 0.0,
        licence=made.card.licence if started_from else "",  # of the weights these came from
        repository="",
        revision="",
        file="model.safetensors",
        sha256="",
        sources={},
    )
    write(folder / "card.json", json.dumps(card.as_dict(), indent=2))
    model = {
        "family": config.model.family,
        "variant": variant_as_json(made.variant),
        "dtype": config.model.dtype,
        "task": config.task.name,
        "classes": list(made.classes),
        "started_from": started_from,
        "input": sizes,
    }
    write(folder / "model.json", json.dumps(model, indent=2))


def load(folder: Path) -> Model:
    """What a run learned, from its folder or the folder model/ in it.

    Raises:
      DataError: there is no finished run.
      ConfigError: its network sees no pictures.
      WeightsError: its weights are missing, damaged or not those of its network.
    """
    folder = folder / "model" if (folder / "model").is_dir() else folder
    said = _read(folder)
    family, task = find("models", said["family"]), find("tasks", said["task"])
    if family.INPUT != "image":
        raise ConfigError(
            f"'{folder}' must be of a run on pictures; its family '{said['family']}' sees {family.INPUT}."
        )
    network = Network(family.build(said["variant"], dtype=said["dtype"]), task.head(len(said["classes"])))
    names, sizes = tuple(family.names(said["variant"])), SimpleNamespace(**said["input"])
    example = preprocess.example(sizes)
    published = pretrained.read(str(folder), card=None, lock=folder)
    if adapt := getattr(family, "adapt", None):
        published = dataclasses.replace(published, arrays=adapt(published.arrays, example.shape))
    empty = placement.shapes(network, example)
    variables, _ = placement.place(empty, published, names, unused=family.UNUSED, head=True)
    return Model(
        family=said["family"],
        variant=said["variant"],
        network=network,
        variables=variables,
        names=names,
        classes=tuple(said["classes"]),
        card=published.card,
        input=said["input"],
        prepare=preprocess.make(sizes, published.card, (sizes.resize, sizes.resize, sizes.channels)),
    )


def variant_as_json(variant: Any) -> Any:
    """A variant's name, or the fields of its sizes: what `family.build` takes again."""
    return variant if isinstance(variant, str | Mapping) else dataclasses.asdict(variant)


def published_arrays(variables: Variables, names: Iterable[Name], family: str) -> dict[str, np.ndarray]:
    """Every array under its published name, as the library that speaks the naming takes it."""
    arrays = placement.publish(variables, names)
    as_published = getattr(find("models", family), "as_published", None)
    return as_published(arrays) if as_published else arrays


def _sizes(made: Experiment, config: Any) -> dict[str, int]:
    """Pixels of stored pictures (a side), of the crop (0: all), and into the network; channels. {} for no pictures."""
    if find("models", config.model.family).INPUT != "image":
        return {}
    return {"resize": one_shape(made.parts)[0]} | {key: config.data[key] for key in ("crop", "size", "channels")}


def _read(folder: Path) -> dict[str, Any]:
    """The content of model.json, all that `load` needs of it."""
    try:
        said = json.loads((folder / "model.json").read_text())
        if missing := [key for key in ("family", "variant", "dtype", "task", "classes", "input") if key not in said]:
            raise ValueError(f"it lacks {', '.join(missing)}")
    except (OSError, ValueError) as error:
        raise DataError(
            f"A finished run must hold model/model.json; '{folder}' has none that can be used: {error}. "
            f"Give the folder of a run that ended with a line 'result: ...'."
        ) from error
    return said
