"""TFDS builders of our own that prepare without TensorFlow; a file name here is a TFDS name.

Names, versions, features and order are those of the TFDS builder of that name, so either reads the other's files.
"""

from pathlib import Path
from typing import Protocol

from tljax.core.modules import Plugin


class Builder(Plugin, Protocol):
    """A file of this folder. `root` is the TFDS directory."""

    @property
    def VERSION(self) -> str:  # noqa: N802 -- a constant of the file
        """Of the set: "3.0.2"."""
        ...

    def url(self) -> str:
        """What it downloads."""
        ...

    def archive(self, root: Path) -> Path:
        """Where that is kept."""
        ...

    def prepare(self, root: Path) -> None:
        """Download if need be, check, and write `root/<name>/<VERSION>`, whole or not at all.

        Raises:
          DataError: the archive cannot be had, or is not what it must be.
        """
        ...
