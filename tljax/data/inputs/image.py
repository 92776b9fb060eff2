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
from tljax.data import domains, pictures, preprocess
from tljax.data.decoded_pictures import Pictures, one_shape
from tljax.data.picture import copies, grey_levels
from tljax.data.splits import Subset
from tljax.networks.backbone import Backbone

AREA: Rule = ("in [0, 1]", lambda x: 0 <= x <= 1)
BITS: Rule = ("a whole number from -1 to 32", lambda x: -1 <= x <= 32)
WINDOW: Rule = (
    "() or two finite numbers (black, white), the first the smaller",
    lambda xs: not xs or (len(xs) == 2 and all(map(math.isfinite, xs)) and xs[0] < xs[1]),
)
OPTIONS = {
    "in_memory": Option(True, "Decode once into memory, or again for every batch."),
    "near_copies": Option(8, "Bits of 64 by which the hashes of near-copies may differ; -1: not looked for.", BITS),
    "window": Option(
        (), "Deeper pictures than 8 bits: values of (black, white); (): as many bits as all fill.", WINDOW
    ),
    "resize": Option(0, "Pixels of the shorter side after decoding, then its central square; 0: as is.", NOT_NEGATIVE),
    "crop": Option(0, "Pixels cut out of that: at random in training, the centre in evaluation; 0: all.", NOT_NEGATIVE),
    "size": Option(
        0, "Pixels into the network; 0: size, resize and crop of the weights' card (else 32).", NOT_NEGATIVE
    ),
    "pad": Option(0, "Training: pixels of black around the picture before the random crop.", NOT_NEGATIVE),
    "min_area": Option(0.0, "Training: random resized crop of at least this share of the picture; 0: none.", AREA),
    "flip": Option(False, "Training: mirror every other picture."),
    "augment": Option(True, "False: training sees pictures as evaluation does, whatever the keys above say."),
}

example = preprocess.example


def load(
    subsets: Mapping[str, Subset], config: ConfigDict, *, card: Card, backbone: Backbone, pretrained: bool = True
) -> Inputs:
    """Decode every part.

    Args:
      config: the whole; its `data` is used.
      card: how pixels are scaled, and where the config does not say it, how many.
      backbone: it says what another size of pictures changes in it.
      pretrained: whether it starts from weights, which saw the card's pictures.

    Raises:
      DataError: more pictures than memory holds; see `Pictures` and `one_shape`.
    """
    _check_memory(subsets, config.data, card)
    decoded = gather(*(partial(Pictures, subset, config.data, card) for subset in subsets.values()))
    parts: dict[str, Pictures] = dict(zip(subsets, decoded, strict=True))
    notes = _settle(parts)
    said, listed = copies.look(domains.labelled(parts), config.data)
    shape = one_shape(parts)
    if subsets["train"].info.labels == "boxes":
        for part in parts.values():  # their lists are equally long in all parts, so that one program serves them
            part.rows = max(other.most for other in parts.values())
    changes = backbone.resized(card.size, preprocess.sizes(config.data, card).size)
    note = preprocess.note(config.data, card, shape[0], pretrained=pretrained, changes=changes)
    return Inputs(
        parts,
        preprocess.make(config.data, card, shape, subsets["train"].info.labels),
        augmented=preprocess.draws(config.data, shape[0]),
        notes=tuple(line for line in (note, *notes, *said) if line),
        lists=listed,
    )


def sizes(parts: Mapping[str, Pictures], config: ConfigDict, *, card: Card) -> Record:
    """What `reopen` needs: pixels of stored pictures (a side), of the crop (0: all), and into the network; channels;
    where a part had deeper pictures, their black and white and whether values beyond are cut off; pixels a picture may
    have, where that is another number than usual.
    """
    asked = preprocess.sizes(config.data, card)
    levels = next((part.levels for part in parts.values() if part.levels), None)
    found = {"resize": one_shape(parts)[0], "crop": asked.crop, "size": asked.size, "channels": config.data.channels}
    found |= {"window": [levels.black, levels.white], "window_given": levels.given} if levels else {}
    return found | ({"max_pixels": config.data.max_pixels} if config.data.max_pixels != pictures.MOST else {})


def said(part: Pictures) -> dict[str, list[str]]:
    """By what people know the examples of a part: their files."""
    return {"name": [part.name(i) for i in range(len(part))]}


def reopen(folder: Path, said: Json, *, card: Card, backbone: Backbone) -> Asked:
    """Picture files, or examples of a source, read as those of a run with these `sizes` were: uint8 (S, S, C)."""
    del folder, backbone
    found = ConfigDict(dict(said))
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
            return pictures.fit(image, found.resize, interpolation=card.interpolation)

    prepare = preprocess.make(found, card, (found.resize, found.resize, found.channels))
    return Asked(read, lambda images: {"image": np.stack(images)}, prepare, example(found, card))


def _settle(parts: Mapping[str, Pictures]) -> tuple[str, ...]:
    """Black and white of all parts' pictures of more than 8 bits; what there is to say of them."""
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
    """DataError where the decoded pictures of all parts would not fit into memory."""
    side, free = preprocess.sizes(config, card).resize, memory.available()
    number = sum(len(subset) for subset in subsets.values())
    need = number * side * side * config.channels
    if config.in_memory and free and need > free:
        raise DataError(
            f"Decoded pictures must fit into memory: {number:,} of {side} x {side} x {config.channels} need "
            f"{need / 2**30:.1f} GiB, and {free / 2**30:.1f} are free. Set config.data.in_memory=false to decode them "
            f"anew for every batch, or lower config.data.resize."
        )
