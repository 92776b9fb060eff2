"""What the values of all masks show to be wrong with them, though every one of them can be read."""

from collections.abc import Iterable

import numpy as np

from tljax.core.types import IGNORED
from tljax.data.masks.codes import Seen
from tljax.data.masks.values import Meaning


def notes(seen: Iterable[Seen], meaning: Meaning) -> tuple[str, ...]:
    """Warnings of pixels that are all of one class, and of a void that seems to be a class.

    Void lies around and between objects: it is in masks that hold objects too. Where 255 is only in masks of ground
    alone, the same objects may have another value in other masks.
    """
    held = [frozenset(np.unique(meaning.of(one.codes)).tolist()) for one in seen]
    classes = frozenset().union(*held) - {IGNORED}
    said = []
    if len(classes) == 1:
        name = meaning.classes[next(iter(classes))]
        said.append(f"warning: every pixel is of class '{name}': a network that always answers it is never wrong")
    void = [one for one in held if IGNORED in one]
    if void and all(len(one) <= 2 for one in void) and any(len(one) > 1 for one in held if IGNORED not in one):
        said.append(
            f"warning: 255 is not counted, and is only in masks ({len(void):,} of {len(held):,}) with at "
            f"most one other value: if it is an object there that has another value in other masks, write one value"
        )
    return tuple(said)
