"""Feature pyramids: maps of several strides, all of one width, from the maps of chosen stages."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from tljax.networks.layers import Conv, LayerNorm

XAVIER = nn.initializers.variance_scaling(1.0, "fan_in", "uniform")  # as detectron2's FPN: c2_xavier_fill


class FeaturePyramid(nn.Module):
    """FPN (Lin et al. 2016, arXiv 1612.03144): every stage's map 1x1, plus the coarser level enlarged, then 3x3.

    `extra` coarser levels are added by 3x3 convolutions of stride 2 on the last one, with ReLU between them (P6 and P7
    of FCOS, arXiv 1904.01355, section 3.2).
    """

    width: int
    extra: int = 0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, maps: Sequence[jax.Array]) -> list[jax.Array]:
        """Maps (B, H, W, C), finest first -> levels (B, H, W, width), finest first."""
        options = {"bias": True, "dtype": self.dtype, "kernel_init": XAVIER}
        sums = [Conv(self.width, 1, name=f"inner{i}", **options)(x) for i, x in enumerate(maps)]
        for i in reversed(range(len(maps) - 1)):
            sums[i] = sums[i] + enlarged(sums[i + 1], sums[i].shape[1:3])
        levels = [Conv(self.width, 3, padding=1, name=f"layer{i}", **options)(x) for i, x in enumerate(sums)]
        for i in range(self.extra):
            x = levels[-1] if i == 0 else nn.relu(levels[-1])
            levels.append(Conv(self.width, 3, stride=2, padding=1, name=f"extra{i}", **options)(x))
        return levels


class SimplePyramid(nn.Module):
    """ViTDet's pyramid (Li et al. 2022, arXiv 2203.16527, section 3): levels of half, equal and double stride, all
    from the last map of a plain ViT; each then 1x1 and 3x3, with LayerNorm over channels.
    """

    width: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> list[jax.Array]:
        """(B, H, W, C) -> levels (B, 2H, 2W, width), (B, H, W, width), (B, H/2, W/2, width)."""
        larger = nn.ConvTranspose(x.shape[-1] // 2, (2, 2), strides=(2, 2), dtype=self.dtype, name="larger")(x)
        smaller = nn.max_pool(x, (2, 2), strides=(2, 2))
        levels = []
        for i, level in enumerate((larger, x, smaller)):
            for size in (1, 3):
                conv = Conv(self.width, size, padding=size // 2, dtype=self.dtype, name=f"conv{i}_{size}")
                level = LayerNorm(dtype=self.dtype, name=f"norm{i}_{size}")(conv(level))
            levels.append(level)
        return levels


def enlarged(x: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """(B, H, W, C) -> (B, *shape, C) by the nearest pixel above and left, as torch's `interpolate`."""
    rows, columns = ((jnp.arange(after) * before) // after for before, after in zip(x.shape[1:3], shape, strict=True))
    return x[:, rows][:, :, columns]
