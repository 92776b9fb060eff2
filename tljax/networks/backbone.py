"""A network is an ordered list of named stages, and runs from any of them to any other: what all families share."""

from typing import Any, Protocol

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike

from tljax.core.layer_groups import between
from tljax.core.types import EVALUATE, Mode, Tree


class RunnableStage(Protocol):
    """A part of a network: a module, or a function that calls one."""

    def __call__(self, x: Tree, mode: Mode, /) -> Tree: ...


class Backbone(nn.Module):
    """A network without its head. A stage that is not run costs nothing.

    A family gives `stage`, and `features` where a run to the end gives more than its last stage in float32.
    """

    variant: Any  # `types.NetworkSizes` of its family, with fields of its own
    dtype: DTypeLike = jnp.float32

    @property
    def stages(self) -> tuple[str, ...]:
        """Their names, input first."""
        return self.variant.stages

    @nn.compact
    def __call__(self, x: Tree, mode: Mode = EVALUATE, *, start: str | None = None, stop: str | None = None) -> Tree:
        """Run the stages from `start` to `stop`, both included; by default all of them.

        Args:
          x: the network's input (normalised pixels (B, H, W, C), or tokens), or, with `start`, the output of the
            stage before it.

        Returns:
          The output of stage `stop`, in the computation's dtype; without `stop`, what the head is given, in float32.
        """
        for name in between(self.stages, start, stop):
            x = self.stage(name)(x, mode)
        return x if stop else self.features(x)

    def stage(self, name: str) -> RunnableStage:
        """The stage of that name: a module called with (x, mode)."""
        raise NotImplementedError(f"{type(self).__name__} must define stage().")

    def resized(self, before: int, after: int) -> str:
        """What changes when weights saw pictures `before` pixels wide and the network gets others; "": nothing."""
        del before, after
        return ""

    def features(self, x: Tree) -> Tree:
        """The last stage's output as the head is given it."""
        return x.astype(jnp.float32)
