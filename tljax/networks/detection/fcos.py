"""FCOS (Tian et al. 2019, arXiv 1904.01355): from every place of a pyramid a class, a box and its centre-ness."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from tljax.core.types import Mode, Record
from tljax.networks.detection.pyramid import FeaturePyramid, SimplePyramid
from tljax.networks.layers import Conv
from tljax.networks.stage_maps import StageMap, as_map

SMALL = nn.initializers.normal(0.01)
PRIOR = 0.01  # of an object at a place, in the first step: RetinaNet, arXiv 1708.02002, section 4.1
START = 4.0  # strides from a place to each side of its box in the first step: the middle of what a level is asked for
GROUPS, LEAST = 32, 8  # groups of GroupNorm in the towers, and the least channels of one: FCOS's at 256 channels


class Tower(nn.Module):
    """`depth` times 3x3 convolution, GroupNorm, ReLU; the same for every level."""

    width: int
    depth: int
    dtype: DTypeLike

    @nn.compact
    def __call__(self, levels: list[jax.Array]) -> list[jax.Array]:
        for i in range(self.depth):
            conv = Conv(self.width, 3, padding=1, bias=True, dtype=self.dtype, kernel_init=SMALL, name=f"conv{i}")
            norm = nn.GroupNorm(
                math.gcd(self.width, max(1, min(GROUPS, self.width // LEAST))),
                epsilon=1e-5,
                dtype=self.dtype,
                name=f"norm{i}",
            )
            levels = [nn.relu(norm(conv(x))) for x in levels]
        return levels


class Head(nn.Module):
    """{stage: output} -> the predictions at the L places of all levels, finest level first:

    logits (B, L, K) and centre (B, L), before the sigmoid; boxes (B, L, 4) in pixels of the input; points (B, L, 3),
    [row, column, stride] of the place, in pixels.
    """

    classes: int  # K
    stages: tuple[str, ...]  # finest first; one stage of tokens, for ViTDet's pyramid
    strides: tuple[int, ...]  # pixels of the input between two places of each stage
    width: int = 256
    depth: int = 4
    extra: int = 2  # levels that are coarser than the last stage
    before: int | None = None  # stages give this number of tokens before those of patches; None: they give maps
    dtype: DTypeLike = jnp.float32
    place: float = 0.5  # where in its stride a place lies: 0.5, the middle (FCOS); 0, the corner (torchvision's)
    shape: tuple[int, ...] = ()  # height and width of the network's input, by which tokens are a map; (): a square

    @nn.compact
    def __call__(self, outputs: Record, mode: Mode) -> dict[str, jax.Array]:
        del mode  # GroupNorm computes the same in training and evaluation
        if self.before is None:
            pyramid = FeaturePyramid(self.width, self.extra, self.dtype, name="pyramid")
            levels = pyramid([outputs[name] for name in self.stages])
            strides = [*self.strides, *(self.strides[-1] * 2 ** (i + 1) for i in range(self.extra))]
        else:
            (stage,), (stride,) = self.stages, self.strides
            levels = SimplePyramid(self.width, self.dtype, name="pyramid")(
                as_map(outputs[stage], StageMap(stage, stride, 0, self.before), self.shape)
            )
            strides = [stride // 2, stride, stride * 2]
        start = nn.initializers.constant(-math.log((1 - PRIOR) / PRIOR))
        logits = _Last(self.classes, start, name="logits")
        sides, centre = _Last(4, nn.initializers.constant(START), name="sides"), _Last(1, name="centre")
        rows = [
            (logits(of_class), sides(of_box), centre(of_box)[..., 0], _points(of_box, stride, self.place))
            for of_class, of_box, stride in zip(
                Tower(self.width, self.depth, self.dtype, name="class_tower")(levels),
                Tower(self.width, self.depth, self.dtype, name="box_tower")(levels),
                strides,
                strict=True,
            )
        ]
        logits, sides, centre, points = (jnp.concatenate(parts, axis=1) for parts in zip(*rows, strict=True))
        return {"logits": logits, "centre": centre, "points": points, "boxes": placed(nn.relu(sides), points)}


class _Last(nn.Module):
    """A 3x3 convolution in float32, its places in a row: (B, h, w, C) -> (B, h w, features)."""

    features: int
    start: nn.initializers.Initializer = nn.initializers.zeros

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        y = Conv(self.features, 3, padding=1, kernel_init=SMALL, name="conv")(x.astype(jnp.float32))
        bias = self.param("bias", self.start, (self.features,), jnp.float32)
        return y.reshape(y.shape[0], -1, self.features) + bias[None, None]  # (B, h w, features)


def placed(sides: jax.Array, points: jax.Array) -> jax.Array:
    """Strides from a place up, left, down, right (..., L, 4) -> boxes (..., L, 4) in pixels."""
    pixels = sides * points[..., 2:]
    return jnp.concatenate([points[..., :2] - pixels[..., :2], points[..., :2] + pixels[..., 2:]], axis=-1)


def _points(level: jax.Array, stride: int, place: float) -> jax.Array:
    """[row, column, stride] of every place of a level (B, h, w, C), in pixels: (B, h w, 3)."""
    batch, height, width, _ = level.shape
    rows, columns = jnp.meshgrid(*(stride * (jnp.arange(n) + place) for n in (height, width)), indexing="ij")
    points = jnp.stack([rows, columns, jnp.full_like(rows, stride)], axis=-1).reshape(1, -1, 3)
    return jnp.broadcast_to(points, (batch, *points.shape[1:]))
