"""The verbs of `tljax VERB`, and of `python -m tljax VERB`: a file here is a `Verb`.

Words of the command line go in; lines on the terminal and files come out, and an exit code if something fails.
Nothing in this room may do a run's computations: a verb reads its flags, calls the rooms below, and prints the result.
"""

from collections.abc import Sequence
from typing import Protocol

from tljax.core.modules import Plugin


class Verb(Plugin, Protocol):
    """A file of this folder."""

    def main(self, arguments: Sequence[str]) -> None:
        """Do what `tljax VERB ARGUMENTS` asks.

        Raises:
          SystemExit: by argparse, where the words are none of the verb's.
          TljaxError: see `core.errors`: its code is the exit code.
        """
        ...
