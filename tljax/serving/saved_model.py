"""The folder `model/` of a run: weights under their published names, the card, the classes; never code."""

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import safetensors.numpy
from ml_collections import ConfigDict

from tljax.core import plugins
from tljax.core.atomic import filled, sha256, whole, write_json
from tljax.core.errors import ConfigError, DataError
from tljax.core.experiment import Experiment
from tljax.core.plugins import find, find_known
from tljax.core.trees import count
from tljax.core.types import EVALUATE, Asked, Batch, Card, Json, Name, Variables
from tljax.networks import flops
from tljax.networks.families import Adapts, Family, Publishes
from tljax.networks.network import Network, on, with_head
from tljax.reporting import temperatures
from tljax.serving import model_json, refitted_classifier
from tljax.tasks import Answers, NamesItsHead, head_of
from tljax.weights import head_names, placement, pretrained


@dataclasses.dataclass(frozen=True)
class Model:
    """The model of a finished run, for predictions and exports."""

    family: str
    variant: Any  # a name in the family's table, or sizes
    task: Any  # as in `Experiment`
    network: Network
    variables: Variables  # on the host
    names: tuple[Name, ...]
    classes: tuple[str, ...]  # logit i belongs to classes[i]
    card: Card
    input: Json  # for pictures resize, crop, size and channels; for texts lengths and pairs
    asked: Asked
    classifier: refitted_classifier.Scores | None = None  # replaces the head: features -> scores
    temperature: float = 1.0  # logits are divided by it before probabilities are shown

    @property
    def stored(self) -> tuple[int, int, int]:
        """(H, W, C) of the pictures for `logits`."""
        height, width = self.input.get("shape") or (self.input["resize"], self.input["resize"])
        return height, width, self.input["channels"]

    def logits(self, variables: Variables, batch: Batch) -> jax.Array:
        """The computation of the run's evaluation: a batch from `asked.batch` -> logits (B, K). Pure."""
        inputs = self.asked.prepare(batch, jax.random.key(0), False)["inputs"]
        return self.network.apply(variables, inputs, EVALUATE)  # pyright: ignore[reportReturnType]

    def told(self, logits: Any) -> Any:
        """Logits (N, K) -> the task's outputs for the user: for classes, calibrated probabilities."""
        return self.task.outputs(temperatures.scaled(logits, self.temperature))

    def features(self, variables: Variables, batch: Batch) -> jax.Array:
        """The input of the head, or of `classifier`, for a batch: (B, D). Pure."""
        inputs = self.asked.prepare(batch, jax.random.key(0), False)["inputs"]
        return self.network.apply(variables, inputs, EVALUATE, method="features")  # pyright: ignore[reportReturnType]


def save(
    folder: Path,
    variables: Variables,
    experiment: Experiment,
    config: ConfigDict,
    *,
    classifier: str = "",
    temperature: float = 1.0,
) -> None:
    """Write everything that prediction, export and the next transfer need.

    `model.safetensors` can be loaded by the library whose names the family has; `card.json` is the card of the new
    weights; `model.json` holds family, variant (its name or its sizes), dtype of the computation, classes in order, the
    sizes of inputs, and the weights that training started from ("" for none).

    Args:
      classifier: the name of the classifier that replaces the head, saved beside (`refitted_classifier`); "": the head.
      temperature: logits are divided by it before probabilities are shown.
    """
    with filled(folder):
        said = ({"classifier": classifier} if classifier else {}) | {"temperature": temperature}
        _write(folder, variables, experiment, config, said)


def _write(folder: Path, variables: Variables, experiment: Experiment, config: ConfigDict, said: Json) -> None:
    started_from = (experiment.published.card.repository or experiment.published.where) if experiment.published else ""
    family = plugins.short("families", config.model.family)
    arrays = published_arrays(variables, experiment.names, family)
    with whole(folder / "model.safetensors") as part:
        safetensors.numpy.save_file(arrays, part, metadata={"format": "pt"})
    sizes = find("inputs", find("families", family).INPUT).sizes(experiment.parts, config.data, card=experiment.card)
    experiment.save_inputs(folder)
    # The weights are new: source, revision and hash of the original file do not hold any more.
    card = dataclasses.replace(
        experiment.card,
        family=family,
        variant=experiment.variant if isinstance(experiment.variant, str) else pretrained.AUTO,
        classes=len(experiment.classes),
        parameters=count(variables["params"]),
        gflops=_gflops(experiment.network, experiment.variables, sizes) if "size" in sizes else 0.0,
        size=sizes.get("size", 0),
        shape=tuple(sizes.get("shape", ())),
        prefix=sizes.get("prefix", ""),
        crop=(sizes["crop"] or sizes["resize"]) / sizes["resize"] if "resize" in sizes else 0.0,
        licence=experiment.card.licence if started_from else "",  # of the original weights
        repository="",
        revision="",
        file="model.safetensors",
        sha256=sha256(folder / "model.safetensors"),
        sources={},
    )
    write_json(folder / "card.json", card.as_dict())
    model = {
        "family": family,
        "variant": variant_as_json(experiment.variant),
        "dtype": config.model.dtype,
        "task": plugins.short("tasks", config.task.name),
        "classes": list(experiment.classes),
        "started_from": started_from,
        "input": sizes,
        **said,
    }
    if dataclasses.is_dataclass(experiment.task):  # what it knows of the training part
        model["known"] = dataclasses.asdict(experiment.task)  # pyright: ignore[reportArgumentType]: no class
    write_json(folder / "model.json", model)


def load(folder: Path) -> Model:
    """The model of a run, from its folder or the folder model/ in it.

    Raises:
      DataError: there is no finished run.
      WeightsError: its weights or tokenizer are missing, damaged, or belong to another network.
      ConfigError: its task has no answer for one example.
    """
    folder = folder / "model" if (folder / "model").is_dir() else folder
    said = model_json.read(folder)
    family: Family = find_known("families", said["family"])
    task = find_known("tasks", said["task"])
    task = _restored(task, said["known"], folder) if "known" in said else task
    if not isinstance(task, Answers):
        raise ConfigError(
            f"A run that is asked must have a head for its examples; '{folder}' learned {said['task']}. Begin a run of "
            f"another task with it: --config.model.weights={folder}."
        )
    if not said["classes"]:
        raise model_json.refused(folder, "classes must be a list of names; got []")
    published = pretrained.read(str(folder), card=None, lock=folder)
    pretrained.check_cost(family, said["variant"], published)
    backbone = family.build(said["variant"], dtype=said["dtype"])
    network = with_head(backbone, head_of(task, len(said["classes"]), backbone))
    asked = find("inputs", family.INPUT).reopen(folder, said["input"], card=published.card, backbone=backbone)
    network = on(network, asked.example)
    own = task.head_names() if isinstance(task, NamesItsHead) else ()
    names = head_names.complete(network, asked.example, family.names(said["variant"]), own)
    if isinstance(family, Adapts):  # positions have the grid of the run's pictures
        published = dataclasses.replace(published, arrays=family.adapt(published.arrays, None))
    empty = placement.shapes(network, asked.example)
    variables, _ = placement.place(empty, published, names, unused=family.UNUSED, head=True)
    return Model(
        family=said["family"],
        variant=said["variant"],
        task=task,
        network=network,
        variables=variables,
        names=names,
        classes=tuple(said["classes"]),
        card=published.card,
        input=said["input"],
        asked=asked,
        classifier=refitted_classifier.load(folder) if "classifier" in said else None,
        temperature=said.get("temperature", 1.0),  # earlier runs kept none
    )


def _restored(task: Any, known: Json, folder: Path) -> Any:
    """The task, with its fields in model.json about the training part."""
    try:
        return task.restore(known)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"'{folder / model_json.FILE}' must hold under 'known' what its task knows; {error!r}. Run it again, or "
            f"name another run."
        ) from error


def _gflops(network: Network, variables: Variables, sizes: Json) -> float:
    """GFLOPs for one picture of these sizes, with three digits; 0 if they cannot be counted."""
    shape = sizes.get("shape") or (sizes["size"], sizes["size"])
    pixels = jax.ShapeDtypeStruct((1, *shape, sizes["channels"]), np.float32)
    try:
        return float(f"{flops.count(network.apply, variables, pixels) / 1e9:.3g}")
    except ValueError:  # a loop of unknown length: this must not lose a finished run
        return 0.0


def variant_as_json(variant: Any) -> Any:
    """A variant's name, or the fields of its sizes, for `family.build`."""
    return variant if isinstance(variant, str | Mapping) else dataclasses.asdict(variant)


def published_arrays(variables: Variables, names: Iterable[Name], family: str) -> dict[str, np.ndarray]:
    """Every array under its published name, as the library that speaks the naming takes it."""
    arrays, plugin = placement.publish(variables, names), find("families", family)
    return dict(plugin.as_published(arrays)) if isinstance(plugin, Publishes) else arrays
