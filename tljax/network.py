"""A backbone and a task's head as one module, so that parameters are {"backbone": ..., "head": ...}."""

import flax.linen as nn
import jax

from tljax.types import EVALUATE, Mode


class Network(nn.Module):
    """`head(backbone(x))`; with `start`, a stage or "head", what comes before it has run already."""

    backbone: nn.Module
    head: nn.Module
    start: str | None = None

    def __call__(self, x: jax.Array, mode: Mode = EVALUATE, *, start: str | None = None) -> jax.Array:
        """Normalised pixels (B, H, W, C), or with `start` the output of the stage before it, to logits (B, K)."""
        start = start or self.start
        return self.head(x if start == "head" else self.backbone(x, mode, start=start))

    def features(self, x: jax.Array, mode: Mode = EVALUATE, *, stop: str | None = None) -> jax.Array:
        """The output of stage `stop`; without it, what the head would be given: (B, D)."""
        return self.backbone(x, mode, stop=stop)
