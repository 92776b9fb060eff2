"""HOW the arrays of a file are read: a file here is a format."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from tljax.core.modules import Plugin


class Format(Plugin, Protocol):
    """A file of this folder. Nothing in a file of weights is executed."""

    @property
    def SUFFIXES(self) -> tuple[str, ...]:  # noqa: N802 -- a constant of the file
        """How names of such files end: (".npz",)."""
        ...

    def recognizes(self, head: bytes) -> bool:
        """Whether a file of this format can begin with these bytes, 512 or all there are."""
        ...

    def read(self, path: Path) -> Mapping[str, np.ndarray]:
        """The arrays by name, each made when it is asked for.

        Raises:
          WeightsError: the file is damaged, or holds other things than arrays of numbers.
        """
        ...
