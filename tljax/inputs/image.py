"""Pictures: decoded once or for every batch, augmented, resized and normalised on the device."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from tljax import preprocess
from tljax.batches import Pictures, one_shape
from tljax.errors import gather
from tljax.splits import Subset
from tljax.types import Card, Inputs


def load(subsets: Mapping[str, Subset], config: Any, *, card: Card, backbone: Any) -> Inputs:
    """Decode every part.

    Args:
      config: the whole; its `data` is used.
      card: how pixels are scaled.

    Raises:
      DataError: see `Pictures` and `one_shape`.
    """
    del backbone  # any map of pixels will do
    decoded = gather(*(partial(Pictures, subset, config.data, card) for subset in subsets.values()))
    parts: dict[str, Pictures] = dict(zip(subsets, decoded, strict=True))
    shape = one_shape(parts)
    prepare = preprocess.make(config.data, card, shape)
    return Inputs(parts, prepare, preprocess.example(config.data), preprocess.draws(config.data, shape[0]))
