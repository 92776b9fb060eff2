"""The stages that a head of segmentation reads, and their outputs as maps."""

from tljax.core.errors import ConfigError
from tljax.networks import stage_maps
from tljax.networks.backbone import Backbone
from tljax.networks.stage_maps import StageMap

LEVELS = 4  # stages of a pyramid


def last(backbone: Backbone) -> StageMap:
    """The last stage that gives a map.

    Raises:
      ConfigError: none does.
    """
    if not (maps := stage_maps.of(backbone)):
        raise ConfigError(
            f"Segmentation needs a backbone of pictures with maps; no stage of {type(backbone).__name__} gives one. "
            f"Choose another config.model.family."
        )
    return maps[-1]


def pyramid(backbone: Backbone) -> tuple[StageMap, ...]:
    """The last stage of every stride, finest first, at most `LEVELS`.

    A plain ViT has one stride: as many stages, evenly spaced up to the last one.
    """
    final, maps = last(backbone), stage_maps.of(backbone)
    by_stride = {one.stride: one for one in maps}
    if len(by_stride) > 1:
        return tuple(by_stride[stride] for stride in sorted(by_stride)[-LEVELS:])
    alike = [one for one in maps if one.width == final.width]
    places = sorted({round((i + 1) * len(alike) / LEVELS) - 1 for i in range(LEVELS)} - {-1})
    return tuple(alike[i] for i in places)
