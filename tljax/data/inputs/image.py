"""Pictures: decoded once or for every batch, augmented, resized and normalised on the device."""

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from tljax.core import memory
from tljax.core.errors import DataError, gather
from tljax.core.options import NOT_NEGATIVE, Option, Rule
from tljax.core.types import Asked, Card, Inputs, Json, Record
from tljax.data import pictures, preprocess
from tljax.data.decoded_pictures import Pictures, one_shape
from tljax.data.parts import domains
from tljax.data.parts.subsets import Subset
from tljax.data.picture import duplicates, grey_levels
from tljax.networks.backbone import Backbone

AREA: Rule = ("in [0, 1]", lambda x: 0 <= x <= 1)
BITS: Rule = ("a whole number from -1 to 32", lambda x: -1 <= x <= 32)
WINDOW: Rule = (
    "() or two finite numbers (black, white), the first the smaller",
    lambda xs: not xs or (len(xs) == 2 and all(map(math.isfinite, xs)) and xs[0] < xs[1]),
)
SHAPE: Rule = (
    "() or (height, width), whole numbers > 0",
    lambda xs: not xs or (len(xs) == 2 and all(isinstance(x, int) and x > 0 for x in xs)),
)
OPTIONS = {
    "in_memory": Option(True, "Decode once into memory, or again for every batch."),
    "near_copies": Option(8, "Near-copies: the most bits of 64 in which their hashes differ; -1: not searched.", BITS),
    "window": Option((), "Pictures of more than 8 bits: (black, white); (): from the number of bits in use.", WINDOW),
    "resize": Option(0, "Resize the shorter side to these pixels, keep the central square; 0: no.", NOT_NEGATIVE),
    "crop": Option(0, "Then crop to these pixels: random in training, central in evaluation; 0: no.", NOT_NEGATIVE),
    "size": Option(
        0, "Input size of the network; 0: size, resize and crop of the weights' card (else 32).", NOT_NEGATIVE
    ),
    "shape": Option(
        (),
        "(height, width): pictures keep their proportions and are fitted in whole, the rest is black; (): squares.",
        SHAPE,
    ),
    "tiles": Option(
        1,
        "Maps, with `shape`: test pictures and those of predict are fitted into so many times the shape, and cut into "
        "overlapping windows whose answers are averaged; 1: whole.",
        ("a whole number from 1 to 64", lambda x: 1 <= x <= 64),
    ),
    "pad": Option(0, "Training: black pixels added on each side before the random crop.", NOT_NEGATIVE),
    "min_area": Option(0.0, "Training: random resized crop of at least this share of the picture; 0: none.", AREA),
    "flip": Option(False, "Training: mirror a picture left to right, with probability 1/2."),
    "augment": Option(True, "False: no augmentation; training gets the same pictures as evaluation."),
}

example = preprocess.example


def load(
    subsets: Mapping[str, Subset],
    config: ConfigDict,
    *,
    model: ConfigDict,
    card: Card,
    backbone: Backbone,
    pretrained: bool = True,
) -> Inputs:
    """Decode every part.

    Args:
      card: the scaling of pixels, and the size of pictures if the config does not give it.
      backbone: its `resized` describes what another size of pictures changes.
      pretrained: whether the run starts from pretrained weights, which were trained with the card's size.

    Raises:
      DataError: the pictures do not fit into memory; see also `Pictures` and `one_shape`.
    """
    del model  # texts find their tokenizer by it
    _check_memory(subsets, config, card)
    decoded = gather(*(partial(Pictures, subset, config, card) for subset in subsets.values()))
    parts: dict[str, Pictures] = dict(zip(subsets, decoded, strict=True))
    notes = _settle(parts)
    said, listed = duplicates.look(domains.labelled(parts), config)
    shape = one_shape(parts)
    if subsets["train"].info.labels == "boxes":
        for part in parts.values():  # equal lengths in all parts, so that one compiled program is enough
            part.rows = max(other.most for other in parts.values()) or 1
    asked = preprocess.sizes(config, card)
    saw = (card.shape[0], card.shape[1]) if card.shape else (card.size, card.size)
    changes = backbone.resized(saw, asked.shape or (asked.size, asked.size)) if pretrained and card.size else ""
    note = preprocess.note(config, card, shape[0], pretrained=pretrained, changes=changes)
    return Inputs(
        parts,
        preprocess.make(config, card, shape, subsets["train"].info.labels),
        augmented=preprocess.draws(config, shape[0]),
        notes=tuple(line for line in (note, *notes, *said) if line),
        lists=listed,
    )


def sizes(parts: Mapping[str, Pictures], config: ConfigDict, *, card: Card) -> Record:
    """The settings for `reopen`: pixels on a side of stored pictures, of the crop (0: none) and of the network's input;
    channels; (height, width) if pictures keep their proportions; for pictures of more than 8 bits, black and white, and
    whether values beyond them are clipped; the most pixels of a picture, if not the default.
    """
    asked = preprocess.sizes(config, card)
    levels = next((part.levels for part in parts.values() if part.levels), None)
    found = {
        "resize": asked.resize or one_shape(parts)[0],
        "crop": asked.crop,
        "size": asked.size,
        "channels": config.channels,
    }
    found |= {"shape": list(asked.shape)} if asked.shape else {}
    found |= {"tiles": config.tiles} if config.tiles > 1 else {}
    found |= {"window": [levels.black, levels.white], "window_given": levels.given} if levels else {}
    return found | ({"max_pixels": config.max_pixels} if config.max_pixels != pictures.MOST else {})


def said(part: Pictures) -> dict[str, list[str]]:
    """The names of a part's examples for the user: their files."""
    return {"name": [part.name(i) for i in range(len(part))]}


def reopen(folder: Path, said: Json, *, card: Card, backbone: Backbone) -> Asked:
    """Read picture files, or a source's examples, in the same way as a run with these `sizes`: uint8 (S, S, C)."""
    del folder, backbone
    found = ConfigDict({"shape": (), **said})
    into = tuple(said.get("shape", ()))
    if into:  # `preprocess.sizes` takes either
        found.update(resize=0, size=0)
    window = said.get("window")
    levels = grey_levels.Levels(*window, given=said["window_given"]) if window else None

    def read(picture: Path | Json) -> np.ndarray:
        with pictures.turn():
            if isinstance(picture, Mapping):
                image = picture["image"]
            else:
                image = pictures.read(picture, channels=found.channels, most=said.get("max_pixels", pictures.MOST))
            if image.dtype != np.uint8:
                grey_levels.known(image, window or ())
                image = grey_levels.eight_bits(image, levels, found.channels)
            if into:
                return pictures.fit_into(image, into, interpolation=card.interpolation)
            return pictures.fit(image, found.resize, interpolation=card.interpolation)

    prepare = preprocess.make(found, card, (*(into or (found.resize, found.resize)), found.channels))
    return Asked(read, lambda images: {"image": np.stack(images)}, prepare, example(found, card))


def _settle(parts: Mapping[str, Pictures]) -> tuple[str, ...]:
    """Set black and white for the pictures of more than 8 bits in all parts; returns notes for the user."""
    spans = [span for part in parts.values() for span in part.spans.values()]
    levels = grey_levels.of(spans)
    for part in parts.values():
        part.settle(levels)
    if levels is None:
        return ()
    return (
        f"{len(spans)} pictures of 16 bits hold values {min(low for low, _ in spans):g} to "
        f"{max(high for _, high in spans):g}: {levels.black:g} is black, {levels.white:g} white, by their number of "
        f"bits; config.data.window=(black,white) sets others",
    )


def _check_memory(subsets: Mapping[str, Subset], config: ConfigDict, card: Card) -> None:
    """Raise DataError if the decoded pictures of all parts do not fit into memory."""
    asked, free = preprocess.sizes(config, card), memory.available()
    height, width = asked.shape or (asked.resize, asked.resize)
    number = sum(len(subset) for subset in subsets.values())
    need = number * height * width * config.channels
    if config.in_memory and free and need > free:
        raise DataError(
            f"Decoded pictures must fit into memory: {number:,} of {height} x {width} x {config.channels} need "
            f"{need / 2**30:.1f} GiB, and {free / 2**30:.1f} are free. Set config.data.in_memory=false to decode them "
            f"again for every batch, or lower config.data.resize or shape."
        )
