"""What every stage of a backbone gives, for heads that read several: a map or tokens, its stride and its width."""

import dataclasses
import math
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from tljax.core.errors import ConfigError
from tljax.core.types import EVALUATE, Mode, Tree
from tljax.networks.backbone import Backbone

SIDE = 448  # pixels of the picture that is traced: what the patches 14, 16, 28 and 32 divide, and the stride 64


@dataclasses.dataclass(frozen=True)
class StageMap:
    """The output of one stage: a map (B, H, W, C), or tokens (B, N, C) of which the last are those of patches."""

    name: str
    stride: int  # pixels of the input between two places
    width: int  # C
    tokens_before: int | None = None  # tokens before those of patches; None: it is a map


def of(backbone: Backbone) -> tuple[StageMap, ...]:
    """The stages that give maps or tokens, input first. Nothing is computed: the network is traced.

    Raises:
      ConfigError: the backbone is not one of pictures of any size.
    """

    class Run(nn.Module):
        """All stages, one after another."""

        inner: nn.Module

        @nn.compact
        def __call__(self, x: Any, mode: Mode) -> dict[str, Any]:
            outputs, before = {}, None
            for name in backbone.stages:
                outputs[name] = x = self.inner(x, mode, start=before and name, stop=name)
                before = name
            return outputs

    try:
        picture = jax.ShapeDtypeStruct((1, SIDE, SIDE, 3), np.float32)
        run = Run(backbone.clone(parent=None))
        shapes, _ = jax.eval_shape(lambda x: run.init_with_output(jax.random.key(0), x, EVALUATE), picture)
    except (TypeError, ValueError, IndexError) as error:
        raise ConfigError(
            f"A head that reads stages needs a backbone of pictures of any size; {type(backbone).__name__} does not "
            f"run on {SIDE} pixels: {error}. Choose another config.model.family."
        ) from error
    return tuple(one for name in backbone.stages if (one := _of(name, shapes[name], backbone)))


def _of(name: str, output: Any, backbone: Backbone) -> StageMap | None:
    shape = (output[0] if isinstance(output, tuple) else output).shape
    if len(shape) == 4:
        return StageMap(name, SIDE // shape[1], shape[3])
    patch = getattr(backbone.variant, "patch", 0)
    if len(shape) == 3 and patch:
        return StageMap(name, patch, shape[2], shape[1] - (SIDE // patch) ** 2)
    return None  # one vector


def as_map(output: Tree, one: StageMap, shape: tuple[int, ...]) -> jax.Array:
    """A stage's output as a map, (B, h, w, D).

    Args:
      output: a map, or tokens (B, N, D), or tokens with the centres of the patches beside them (rotary positions).
      shape: height and width of the network's input; (): it is a square.

    Raises:
      ConfigError: there are other patches than those of such a picture.
    """
    x = output[0] if isinstance(output, tuple) else output
    if one.tokens_before is None:
        return x
    patches = x.shape[1] - one.tokens_before
    rows, columns = (side // one.stride for side in shape) if shape else (math.isqrt(patches),) * 2
    if rows * columns != patches:
        raise ConfigError(
            f"The patches of a ViT must be those of its picture: {patches} make no {rows} x {columns}. Set "
            f"config.data.shape to multiples of {one.stride}."
        )
    return x[:, one.tokens_before :].reshape(x.shape[0], rows, columns, -1)
