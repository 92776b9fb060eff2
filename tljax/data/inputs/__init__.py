"""Kinds of input, one file each: the examples of every part, and how a batch of them becomes a network's input."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from ml_collections import ConfigDict

from tljax.core.modules import Plugin
from tljax.core.types import Asked, Card, Inputs, Json, Record, Tree
from tljax.data.parts.subsets import Subset
from tljax.networks.backbone import Backbone


class InputKind(Plugin, Protocol):
    """A file of this folder. `card` says how pixels are scaled, `backbone` what the network can be given."""

    def example(self, config: ConfigDict, card: Card) -> Tree:
        """One input of the network, (1, ...): only shapes and dtypes matter.

        Args:
          config: `config.data`.
        """
        ...

    def load(
        self,
        subsets: Mapping[str, Subset],
        config: ConfigDict,
        *,
        model: ConfigDict,
        card: Card,
        backbone: Backbone,
        pretrained: bool = True,
    ) -> Inputs:
        """Read every part.

        Args:
          config: `config.data`.
          model: `config.model`, which may name the tokenizer of texts.
          pretrained: whether the network starts from weights.

        Raises:
          DataError: unreadable examples; all are listed.
          ConfigError, WeightsError: what is asked for does not go with the network or its weights.
        """
        ...

    def sizes(self, parts: Mapping[str, Any], config: ConfigDict, *, card: Card) -> Record:
        """What `reopen` must know of what `load` made of all parts; it stands in model.json.

        Args:
          config: `config.data`.
        """
        ...

    def said(self, part: Any) -> dict[str, list[str]]:
        """By what people know the examples of a part: columns of texts, (N,) each, "name" among them."""
        ...

    def reopen(self, folder: Path, said: Json, *, card: Card, backbone: Backbone) -> Asked:
        """How a finished run is asked.

        Args:
          folder: the run's model/.
          said: what `sizes` gave.
        """
        ...
