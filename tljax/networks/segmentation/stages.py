"""The stages that a head of segmentation reads, and their outputs as maps."""

import math

import jax

from tljax.core.errors import ConfigError
from tljax.core.types import Tree
from tljax.networks import stage_maps
from tljax.networks.backbone import Backbone
from tljax.networks.stage_maps import StageMap

LEVELS = 4  # stages of a pyramid


def last(backbone: Backbone) -> StageMap:
    """The last stage that gives a map.

    Raises:
      ConfigError: none does.
    """
    if not (found := stage_maps.of(backbone)):
        raise ConfigError(
            f"Segmentation needs a backbone of pictures with maps; no stage of {type(backbone).__name__} gives one. "
            f"Choose another config.model.family."
        )
    return found[-1]


def pyramid(backbone: Backbone) -> tuple[StageMap, ...]:
    """The last stage of every stride, finest first, at most `LEVELS`.

    A plain ViT has one stride: as many stages, evenly spaced up to the last one.
    """
    final, found = last(backbone), stage_maps.of(backbone)
    by_stride = {one.stride: one for one in found}
    if len(by_stride) > 1:
        return tuple(by_stride[stride] for stride in sorted(by_stride)[-LEVELS:])
    alike = [one for one in found if one.width == final.width]
    places = sorted({round((i + 1) * len(alike) / LEVELS) - 1 for i in range(LEVELS)} - {-1})
    return tuple(alike[i] for i in places)


def as_map(output: Tree, before: int | None) -> jax.Array:
    """A stage's output as a map, (B, h, w, D).

    Args:
      output: a map, or tokens (B, N, D), or tokens with the centres of the patches beside them (rotary positions).
      before: tokens before those of patches; None: it is a map.

    Raises:
      ConfigError: the patches make no square.
    """
    x = output[0] if isinstance(output, tuple) else output
    if before is None:
        return x
    side = math.isqrt(x.shape[1] - before)
    if side * side != x.shape[1] - before:
        raise ConfigError(
            f"Segmentation on the patches of a ViT needs square pictures; {x.shape[1] - before} patches make no "
            f"square. Set config.data.shape to a square, or choose a network of convolutions."
        )
    return x[:, before:].reshape(x.shape[0], side, side, -1)
