"""Pictures: decoded once or for every batch, augmented, resized and normalised on the device."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from tljax.core.errors import gather
from tljax.core.types import Asked, Card, Inputs
from tljax.data import pictures, preprocess
from tljax.data.decoded_pictures import Pictures, one_shape
from tljax.data.splits import Subset

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
    prepare = preprocess.make(config.data, card, shape)
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
