"""What all families share: a network is an ordered list of named stages, and runs from any stage to any later one."""

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

    A family defines `stage`. It also defines `features` if these are not just the last stage's output in float32.
    """

    variant: Any  # `types.NetworkSizes` of its family, with fields of its own
    dtype: DTypeLike = jnp.float32

    @property
    def stages(self) -> tuple[str, ...]:
        """The names of the stages, input first."""
        return self.variant.stages

    @nn.compact
    def __call__(self, x: Tree, mode: Mode = EVALUATE, *, start: str | None = None, stop: str | None = None) -> Tree:
        """Run the stages from `start` to `stop`, both included; by default all of them.

        Args:
          x: the network's input (normalised pixels (B, H, W, C), or tokens). With `start`: the output of the stage
            before `start`.

        Returns:
          The output of stage `stop`, in the computation's dtype; without `stop`, the features for the head, in float32.
        """
        for name in between(self.stages, start, stop):
            x = self.stage(name)(x, mode)
        return x if stop else self.features(x)

    def stage(self, name: str) -> RunnableStage:
        """The stage called `name`: a module that is called with (x, mode)."""
        raise NotImplementedError(f"{type(self).__name__} must define stage().")

    def resized(self, before: tuple[int, int], after: tuple[int, int]) -> str:
        """What changes in weights of `before` pixels when pictures are of height and width `after`; "": nothing."""
        del before, after
        return ""

    def features(self, x: Tree) -> Tree:
        """The last stage's output -> the features for the head."""
        return x.astype(jnp.float32)
