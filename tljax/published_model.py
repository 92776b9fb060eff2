"""Published weights as a whole network, their classifier included: to look at them, and to ask them."""

import contextlib
import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import flax.linen as nn
import numpy as np

from tljax import placement, plugins, pretrained, translation
from tljax.errors import WeightsError
from tljax.layouts import TO_OURS
from tljax.network import Network
from tljax.plugins import find
from tljax.saved_model import Model
from tljax.types import Asked, Card, Name, Published

SIZE = 224  # pixels, where the card names none: what nearly all were trained on
UNKNOWN = Card(mean=(), std=())  # stands for a card that is not there


def load(
    spec: str, *, family: str = "", variant: str = pretrained.AUTO, lock: Path
) -> tuple[Model, tuple[str, ...], Published]:
    """The network in a file, a folder or a hub repository; what was found out; the weights, as the family names them.

    Its classes are called by their numbers; a file without a classifier has none, and a head that was never trained.
    Where nothing says how pixels are scaled, `card.mean` is empty and `asked.prepare` leaves them as they are.

    Args:
      family: one of `tljax/models/`; "": the card's, else the one whose naming the tensors have.

    Raises:
      WeightsError: the weights cannot be read, or hold another network: all differences.
    """
    published = pretrained.read(spec, card=UNKNOWN, lock=lock)
    family = family or published.card.family or _family(published)
    module, card = find("models", family), published.card
    asked = SimpleNamespace(family=family, variant=variant)
    found, published, notes = pretrained.understood(module, asked, published)
    names = tuple(module.names(found))
    shape = (1, *[card.size or SIZE] * 2, _channels(names, published.arrays))
    if adapt := getattr(module, "adapt", None):
        published = dataclasses.replace(published, arrays=adapt(published.arrays, shape))
    classes = _classes(names, published.arrays)
    network = Network(module.build(found), nn.Dense(classes or 1))
    empty = placement.shapes(network, np.zeros(shape, np.float32))
    variables, kept = placement.place(empty, published, names, unused=module.UNUSED, head=classes > 0)
    if kept:
        head = placement.init(network, np.zeros(shape, np.float32), seed=0, only=kept)["params"]["head"]
        variables = {**variables, "params": {**variables["params"], "head": head}}
    sizes, asked = _inputs(card, shape, network.backbone)
    model = Model(
        family=family,
        variant=found,
        task=find("tasks", "classification"),
        network=network,
        variables=variables,
        names=names,
        classes=tuple(map(str, range(classes))),
        card=card,
        input=sizes,
        asked=asked,
    )
    return model, notes, published


def _inputs(card: Card, shape: tuple[int, ...], backbone: Any) -> tuple[dict[str, int], Asked]:
    """Sizes of pictures as the weights' authors evaluate them, and how pictures are read and prepared so."""
    _, size, _, channels = shape
    # timm's center-crop transform: the shorter side becomes floor(size / share); 1e-6 for what 224 / 0.7 lacks.
    stored = math.floor(size / card.crop + 1e-6) if card.crop else size
    sizes = {"resize": stored, "crop": size, "size": size, "channels": channels}
    plain = dataclasses.replace(card, mean=(0.0,) * channels, std=(1.0,) * channels, scale=1.0)
    reopen = find("inputs", "image").reopen
    return sizes, reopen(Path(), sizes, card=card if card.mean else plain, backbone=backbone)


def _family(published: Published) -> str:
    """The family whose naming, or a spelling of it, the tensors have; WeightsError where there is none."""
    families = [name for name in plugins.available("models") if find("models", name).INPUT == "image"]
    for name in families[:-1]:
        with contextlib.suppress(WeightsError):
            translation.recognise(published.arrays, name, published.where)
            return name
    translation.recognise(published.arrays, families[-1], published.where)  # its error names the nearest of all
    return families[-1]


def _channels(names: Sequence[Name], arrays: Mapping[str, np.ndarray]) -> int:
    """Channels of the pictures that the first kernel sees; 3 where it shows none."""
    stem = next((row for row in names if row.path.endswith("kernel")), None)
    kernel = arrays.get(stem.published) if stem else None
    if stem is None or kernel is None or kernel.ndim != 4:
        return 3
    return kernel.shape[(TO_OURS[stem.layout] or range(4))[2]]


def _classes(names: Sequence[Name], arrays: Mapping[str, np.ndarray]) -> int:
    bias = next((row.published for row in names if row.path == "head/bias"), "")
    return len(arrays[bias]) if bias in arrays else 0
