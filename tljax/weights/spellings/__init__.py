"""How other libraries name the tensors of our families: a file here is a library."""

from typing import Protocol

from tljax.core.modules import Plugin
from tljax.core.types import Spelling


class Library(Plugin, Protocol):
    """A file of this folder: a table."""

    @property
    def SPELLINGS(self) -> tuple[Spelling, ...]:  # noqa: N802 -- a constant of the file
        """One or more a family; the one that knows most of a file's names is taken."""
        ...
