"""WHERE examples come from: a file here is a data source."""

from typing import Protocol

from ml_collections import ConfigDict

from tljax.core.modules import Plugin
from tljax.core.types import Dataset


class Source(Plugin, Protocol):
    """A file of this folder."""

    def load(self, config: ConfigDict) -> Dataset:
        """The splits that `config.data` names; pictures are read when they are asked for.

        Args:
          config: `config.data`, with the file's own options.

        Raises:
          DataError: there are no examples, they cannot be read, or they contradict each other; all places are named.
          ConfigError: a key does not fit the data.
        """
        ...
