"""Pictures: decoded once or for every batch, augmented, resized and normalised on the device."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from tljax.core.errors import gather
from tljax.core.options import NOT_NEGATIVE, POSITIVE, Option, Rule
from tljax.core.types import Asked, Card, Inputs
from tljax.data import pictures, preprocess
from tljax.data.decoded_pictures import Pictures, one_shape
from tljax.data.splits import Subset

AREA: Rule = ("in [0, 1]", lambda x: 0 <= x <= 1)
OPTIONS = {
    "in_memory": Option(True, "Decode once into memory, or again for every batch."),
    "resize": Option(0, "Pixels of the shorter side after decoding, then its central square; 0: as is.", NOT_NEGATIVE),
    "crop": Option(0, "Pixels cut out of that: at random in training, the centre in evaluation; 0: all.", NOT_NEGATIVE),
    "size": Option(32, "Pixels into the network.", POSITIVE),
    "pad": Option(0, "Training: pixels of black around the picture before the random crop.", NOT_NEGATIVE),
    "min_area": Option(0.0, "Training: random resized crop of at least this share of the picture; 0: none.", AREA),
    "flip": Option(False, "Training: mirror every other picture."),
    "augment": Option(True, "False: training sees pictures as evaluation does, whatever the keys above say."),
}

example = preprocess.example


def load(subsets: Mapping[str, Subset], config: Any, *, card: Card, backbone: Any, pretrained: bool = True) -> Inputs:
    """Decode every part.

    Args:
      config: the whole; its `data` is used.
      card: how pixels are scaled.

    Raises:
      DataError: see `Pictures` and `one_shape`.
    """
    del backbone, pretrained  # any map of pixels will do
    decoded = gather(*(partial(Pictures, subset, config.data, card) for subset in subsets.values()))
    parts: dict[str, Pictures] = dict(zip(subsets, decoded, strict=True))
    shape = one_shape(parts)
    if subsets["train"].info.labels == "boxes":
        for part in parts.values():  # their lists are equally long in all parts, so that one program serves them
            part.rows = max(other.most for other in parts.values())
    prepare = preprocess.make(config.data, card, shape, subsets["train"].info.labels)
    return Inputs(parts, prepare, augmented=preprocess.draws(config.data, shape[0]))


def sizes(parts: Mapping[str, Pictures], config: Any) -> dict[str, int]:
    """Pixels of stored pictures (a side), of the crop (0: all), and into the network; channels: what `reopen` needs."""
    return {"resize": one_shape(parts)[0]} | {key: config.data[key] for key in ("crop", "size", "channels")}


def reopen(folder: Path, said: Mapping[str, Any], *, card: Card, backbone: Any) -> Asked:
    """Picture files, read as the examples of a run with these `sizes` were: uint8 (S, S, C)."""
    del folder, backbone
    found = SimpleNamespace(**said)

    def read(picture: Path) -> np.ndarray:
        image = pictures.read(picture, channels=found.channels)
        return pictures.fit(image, found.resize, interpolation=card.interpolation)

    prepare = preprocess.make(found, card, (found.resize, found.resize, found.channels))
    return Asked(read, lambda images: {"image": np.stack(images)}, prepare, example(found))
