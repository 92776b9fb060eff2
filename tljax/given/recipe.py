"""The keys that an expert would first set for these examples, and the reasons."""

import dataclasses

from tljax.core import plugins
from tljax.data.parts.class_counts import UNEVEN
from tljax.given.found import Changes, Found
from tljax.weights.search import Choice

TASKS = {
    "classes": "classification",
    "sets": "multilabel",
    "numbers": "regression",
    "maps": "segmentation",
    "boxes": "detection",
}
MINUTES = 20.0  # that a run takes at most, where nobody says how many
STEPS = 300  # updates at least, however few the examples
GREY, SIDE = (0.5, 0.5, 0.5), 128  # scaling and pixels, where no weights' card says them
SCRATCH = 1e-3  # Adam's learning rate from random weights
PLACES = ("maps", "boxes")  # labels that are places in a picture
# Of the config for Penn-Fudan, which was tried: small pictures need a smaller head than FCOS's, and one rate.
DETECTION = {"task.width": 128, "task.depth": 2, "task.extra_levels": 1}
DETECTOR_RATE, DETECTOR_CLIP = 1e-3, 10.0
MAPS = 8  # pictures in a batch, where labels are places
SHORT, STEP = 224, 32  # pixels of the shorter side of such pictures; networks halve them five times
LITTLE = 1000  # with fewer examples only a new head learns, if `auto` cannot choose (numbers, sets)


@dataclasses.dataclass(frozen=True)
class Rates:
    """Adam's learning rates: for a pretrained backbone, which must not forget, and for a new head."""

    backbone: float
    head: float


# As in the configs that come with tljax; no search has been made for them.
RATES = {"image": Rates(3e-4, 3e-3), "tokens": Rates(2e-4, 3e-3)}
# Keys that only training in steps has, and the values that leave them out.
OF_STEPS = {"task.class_weights": "()", "train.patience": "0", "optimizer.clip": "0", "optimizer.groups": "{}"}


def changes(found: Found, weights: Choice, asked: Changes, *, rows: bool = False) -> tuple[Changes, tuple[str, ...]]:
    """The keys, and notes about them.

    Args:
      asked: keys that the user has set; they override guesses, and keys that depend on them are left out.
      rows: whether each row of a comparison names its own strategy, so that none is chosen here.
    """
    keys: Changes = {
        "data.unreadable": "skip",
        "data.similar_labels": "merge",
        "data.duplicates": "remove",
        "model.family": weights.family,
        "model.variant": weights.variant,
        "model.weights": weights.spec,
    }
    network = f"{weights.family} {weights.variant}".removesuffix(" auto")
    where = f"{weights.spec} ({network})" if weights.spec else f"none, {network} begins at random"
    notes = [f"weights: {where}, {weights.why}"]
    own = rows or "strategy.name" in asked
    for more, said in (
        _task(found),
        ({}, []) if own else _strategy(found),
        _training(found, asked),
        _views(found, weights, asked),
    ):
        keys |= more
        notes += said
    strategy = asked.get("strategy.name", "")
    if strategy == "scratch":  # nothing that must not be forgotten
        keys["optimizer.lr"] = SCRATCH
    if not weights.spec:
        keys |= {"model.card.mean": GREY, "model.card.std": GREY}
        keys |= {} if "data.shape" in keys else {"data.size": SIDE}
    without = ["optimizer.groups.head.lr"] if "optimizer.lr" in asked or strategy == "scratch" else []
    if strategy == "classic":
        without = [key for key in keys if key.startswith(tuple(OF_STEPS))]
    return {key: value for key, value in keys.items() if key not in without}, tuple(notes)


def of_row(strategy: str, changes: Changes) -> tuple[str, ...]:
    """The overrides with which a row of a comparison leaves out those of `changes` that its strategy does not use."""
    unused = [key for key in OF_STEPS if any(name.startswith(key) for name in changes)]
    return tuple(f"{key}={OF_STEPS[key]}" for key in unused) if strategy == "classic" else ()


def _task(found: Found) -> tuple[Changes, list[str]]:
    """The task, and the weights of classes."""
    keys: Changes = {"task.name": TASKS[found.labels], **(DETECTION if found.labels == "boxes" else {})}
    if not found.counts:
        return keys, []
    most, least = max(found.counts, key=found.counts.__getitem__), min(found.counts, key=found.counts.__getitem__)
    if found.counts[most] <= UNEVEN * found.counts[least]:
        return keys, []
    return keys | {"task.class_weights": ("balanced",)}, [
        f"class weights: balanced, for '{most}' has {found.counts[most]:,} examples and '{least}' "
        f"{found.counts[least]:,}"
    ]


def _strategy(found: Found) -> tuple[Changes, list[str]]:
    if found.labels == "classes":
        return {"strategy.name": "auto"}, ["strategy: auto, which measures the examples and says why"]
    if found.labels in PLACES:  # a new head has most of the parameters, and pixels are many
        return {"strategy.name": "layer_decay"}, ["strategy: layer_decay, all layers, early ones slower"]
    name = "linear_probe" if found.examples < LITTLE else "layer_decay"
    what = "a new head alone" if name == "linear_probe" else "all layers, early ones slower"
    return {"strategy.name": name}, [
        f"strategy: {name}, {what}: {found.examples:,} examples, and labels that are {found.labels}, which auto does "
        f"not measure"
    ]


def _training(found: Found, asked: Changes) -> tuple[Changes, list[str]]:
    """Optimizer and length: long enough for few examples, ended by the validation part."""
    rates, batch = RATES[found.input], 32 if found.examples < 5000 else 64
    batch = MAPS if found.labels in PLACES else batch
    epochs = 30.0 if found.examples <= 2000 else 15.0 if found.examples <= 20_000 else 6.0
    keys: Changes = {
        "optimizer.name": "adamw",
        "optimizer.lr": rates.backbone,
        "optimizer.groups.head.lr": rates.head,
        "optimizer.weight_decay": 0.01,
        "optimizer.decay_norms_and_biases": False,
        "optimizer.schedule": "cosine",
        "optimizer.warmup": 0.1,
        "optimizer.clip": 1.0,
        "train.epochs": epochs,
        "train.minutes": MINUTES,
        "train.min_steps": STEPS,
        "train.batch_size": batch,
        "train.eval_batch_size": min(64, 2 * batch),
        "train.checkpoint_epochs": 5.0,
        "train.patience": 10,
        "train.log_steps": 10,
    }
    if found.labels == "boxes":
        keys |= dict.fromkeys(("optimizer.lr", "optimizer.groups.head.lr"), DETECTOR_RATE)
        keys["optimizer.clip"] = DETECTOR_CLIP
    most, steps, patience, minutes = (
        f"{asked.get(f'train.{key}', keys[f'train.{key}'])}".removesuffix(".0")
        for key in ("epochs", "min_steps", "patience", "minutes")
    )
    note = (
        f"training: up to {most} epochs, and {steps} steps where those are fewer; ends after {patience} epochs without "
        f"a better validation result, or after {minutes} min (config.train.minutes)"
    )
    return keys, [note]


def _views(found: Found, weights: Choice, asked: Changes) -> tuple[Changes, list[str]]:
    """The augmentation of pictures, their size, and the lengths of texts."""
    if found.input != "image":
        return {}, []
    keys: Changes = {"data.min_area": 0.5, "data.cached_views": max(1, min(4, 1000 // max(found.examples, 1)))}
    if found.labels in PLACES:
        return {"data.min_area": 0.25, "data.flip": True, **_shape(found, weights, asked)}, []
    keys |= _resize(asked)
    if all(len(name) == 1 for name in found.counts) and found.counts:
        return keys, ["pictures: not mirrored, for the classes are single characters"]
    return keys | {"data.flip": True}, []


def _shape(found: Found, weights: Choice, asked: Changes) -> Changes:
    """The shape of the network's input, by the proportions of most pictures, in whole patches of a ViT."""
    if "data.size" in asked:
        return _resize(asked)
    if "data.resize" in asked or "data.crop" in asked:
        return {}
    (height, width), step = found.proportions, _step(weights)
    shape = (SHORT * height / min(height, width), SHORT * width / min(height, width))
    return {"data.shape": tuple(step * max(1, min(2 * SHORT // step, round(side / step))) for side in shape)}


def _resize(asked: Changes) -> Changes:
    """A size that is asked for fits pictures of any shape: the central square, in that size."""
    return {"data.resize": asked["data.size"]} if "data.size" in asked and "data.resize" not in asked else {}


def _step(weights: Choice) -> int:
    """STEP, where whole patches make it up, else a patch."""
    variant = plugins.find("families", weights.family).VARIANTS.get(weights.variant)
    patch = getattr(variant, "patch", STEP)
    return patch if STEP % patch else STEP
