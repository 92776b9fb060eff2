"""HOW the features of two domains are brought together: a file here is a term of the loss, or a way of evaluating.
Functions are pure.
"""

from typing import Protocol, runtime_checkable

import jax
from ml_collections import ConfigDict

from tljax.core.modules import Plugin
from tljax.core.types import Params


class Adaptation(Plugin, Protocol):
    """A file of this folder. It is `Aligns` too, unless it uses statistics."""

    @property
    def USES(self) -> str:  # noqa: N802 -- a constant of the file
        """What it uses of the target: "features" (the head's input) or "logits", which `term` is given; or
        "statistics": evaluation then has BatchNorm statistics of the unlabelled examples, and there is no `term`.
        """
        ...


@runtime_checkable
class Aligns(Protocol):
    """An adaptation with a term of the loss."""

    def term(
        self, source: jax.Array, target: jax.Array, params: Params, weight: jax.Array, config: ConfigDict
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """(The term of the loss, (); what is logged of it, name -> ()).

        Args:
          source: features (B, D) or logits (B, K), by `USES`, float32, of the global batch.
          target: the same of the unlabelled target.
          params: what `initialize` gave, {} without it.
          weight: () in [0, config.weight], what the ramp has come to.
          config: `config.adaptation`.
        """
        ...


@runtime_checkable
class HasParameters(Protocol):
    """An adaptation with parameters of its own: "domain" beside "backbone" and "head", a group that always learns."""

    def initialize(self, width: int, config: ConfigDict, *, seed: int) -> Params:
        """Those at the start, numpy, for features of `width`."""
        ...
