"""Published weights as a whole network with its classifier, to inspect it and to run it."""

import contextlib
import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import numpy as np
from ml_collections import ConfigDict

from tljax.core import plugins
from tljax.core.errors import WeightsError
from tljax.core.plugins import find
from tljax.core.types import Asked, Card, Name, Published, Record
from tljax.networks.families import Adapts, Family
from tljax.networks.network import Network
from tljax.serving.saved_model import Model
from tljax.weights import channels, placement, pretrained, translation, wrappers
from tljax.weights.layouts import TO_OURS

SIZE = 224  # pixels if the card has no size; nearly all networks were trained with it
UNKNOWN = Card(mean=(), std=())  # for weights without a card


def load(
    spec: str,
    *,
    family: str = "",
    variant: str = pretrained.AUTO,
    prefix: str = "",
    lock: Path,
    card: Card = UNKNOWN,
) -> tuple[Model, tuple[str, ...], Published]:
    """The network in a file, a folder or a hub repository; notes; and the weights under the family's names.

    Classes are called by their numbers. A file without a classifier has no classes, and a random head. If the scaling
    of pixels is unknown, `card.mean` is empty and `asked.prepare` does not scale them.

    Args:
      prefix: the prefix of one network's names, in a file of several networks.
      family: one of `tljax/networks/families/`; "": that of the card, else the family whose names the tensors have.
      card: the card for weights without one.

    Raises:
      WeightsError: the weights cannot be read, or belong to another network; all differences are listed.
    """
    published = pretrained.read(spec, card=card, lock=lock)
    family = family or published.card.family or _family(published, prefix)
    module: Family = find("families", family)
    card = published.card
    wanted = ConfigDict({"family": family, "variant": variant, "prefix": prefix})
    found, published, notes = pretrained.understood(module, wanted, published)
    names = tuple(module.names(found))
    if isinstance(module, Adapts):
        shape = (1, *[card.size or SIZE] * 2, _channels(names, published.arrays))
        published = dataclasses.replace(published, arrays=module.adapt(published.arrays, shape, card.shape))
    classes = _classes(names, published.arrays)
    network = Network(module.build(found), nn.Dense(classes or 1))
    if module.INPUT == "image":
        sizes, asked = _pictures(card, _channels(names, published.arrays), network.backbone)
    else:
        sizes, asked = _texts(network.backbone.variant)
    empty = placement.shapes(network, asked.example)
    variables, kept = placement.place(empty, published, names, unused=module.UNUSED, head=classes > 0)
    if kept:
        head = placement.init(network, asked.example, seed=0, only=kept)["params"]["head"]
        variables = {**variables, "params": {**variables["params"], "head": head}}
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


def _texts(variant: Any) -> tuple[Record, Asked]:
    """The sizes of a text encoder, and random token ids instead of a text: no tokenizer is read."""
    example = find("inputs", "tokens").example()
    ids = np.random.default_rng(0).integers(variant.vocabulary, size=example["ids"].shape, dtype=np.int32)

    def no_text(_: Any) -> Any:
        raise ValueError("a text encoder's weights are not asked here")

    sizes = {"lengths": (variant.longest,), "vocabulary": variant.vocabulary}
    return sizes, Asked(no_text, no_text, lambda batch, *_: batch, {**example, "ids": ids})


def _pictures(card: Card, seen: int, backbone: Any) -> tuple[Record, Asked]:
    """The sizes of pictures in the authors' evaluation, and the reading and preparation of pictures."""
    size = card.size or SIZE
    # timm's center-crop transform: the shorter side becomes floor(size / share); 1e-6 against rounding in 224 / 0.7.
    stored = math.floor(size / card.crop + 1e-6) if card.crop else size
    sizes = {"resize": stored, "crop": size, "size": size, "channels": seen}
    plain = dataclasses.replace(card, mean=(0.0,) * seen, std=(1.0,) * seen, scale=1.0)
    reopen = find("inputs", "image").reopen
    return sizes, reopen(Path(), sizes, card=card if card.mean else plain, backbone=backbone)


def _family(published: Published, prefix: str) -> str:
    """The family whose names (or a spelling of them) the tensors have; WeightsError if there is none."""
    published, _ = wrappers.taken_off(published, plugins.available("families"), prefix)
    models = {name: find("families", name) for name in plugins.available("families")}
    texts = [name for name, module in models.items() if module.INPUT == "tokens"]
    shares = {name: translation.share(published.arrays, name) for name in texts}
    known = [name for name in texts if shares[name] >= max(*shares.values(), translation.MOST)]
    if known:  # several families share the names of an encoder without a head: config.json decides
        said = published.config.get("model_type")
        return next((name for name in known if said in models[name].FAMILY.model_types), known[0])
    for name in (name for name in models if name not in texts):
        with contextlib.suppress(WeightsError):
            translation.recognise(published.arrays, name, published.where)
            return name
    raise WeightsError(translation.strange(published.arrays, published.where))


def _channels(names: Sequence[Name], arrays: Mapping[str, np.ndarray]) -> int:
    """Channels of the pictures, from the first kernel; 3 if it does not show them."""
    found = channels.first_kernel(arrays, names)
    return found[1].shape[2] if found else 3


def _classes(names: Sequence[Name], arrays: Mapping[str, np.ndarray]) -> int:
    """The number of classes of the classifier; 0 if there is none. If a part of it is missing, `placement` raises."""
    for row in names:
        if row.path in ("head/bias", "head/kernel") and row.published in arrays:
            shape = arrays[row.published].shape
            return shape[(TO_OURS[row.layout] or range(len(shape)))[-1]]
    return 0
