"""WHERE pretrained arrays come from: a file here is a weight source."""

from pathlib import Path
from typing import Protocol

from tljax.core.modules import Plugin
from tljax.core.types import Card, Published


class WeightSource(Plugin, Protocol):
    """A file of this folder. `spec` is what `config.model.weights` says.

    Of all functions: `card` serves weights that have none of their own; `lock` is the file in which what was downloaded
    is recorded, and to which it is held. WeightsError where the weights cannot be had or used.
    """

    def claims(self, spec: str) -> bool:
        """Whether `spec` means weights of this source; at most one may."""
        ...

    def read(self, spec: str, *, card: Card | None = None, lock: Path | None = None) -> Published:
        """The arrays, their card, and what stands about the network beside them."""
        ...

    def read_card(self, spec: str, *, card: Card | None = None, lock: Path | None = None) -> Card:
        """The card alone; nothing is downloaded."""
        ...

    def locate(self, spec: str, *, card: Card | None = None, lock: Path | None = None) -> Path:
        """The file or folder on this machine, with what lies beside the weights: a tokenizer."""
        ...
