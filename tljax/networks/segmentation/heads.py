"""The heads of segmentation: linear, FCN, DeepLabV3, U-Net. Each chooses its stages when it is put on a backbone.

FCN and DeepLabV3 compute what torchvision's heads of these names compute.
"""

from collections.abc import Mapping, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from tljax.core.types import Mode, Tree
from tljax.networks.backbone import Backbone
from tljax.networks.layers import TORCH_LINEAR, BatchNorm, Conv
from tljax.networks.segmentation import stages
from tljax.networks.stage_maps import StageMap, as_map

RATES = (12, 24, 36)  # of DeepLabV3's dilated convolutions, at stride 8 (arXiv 1706.05587, section 4.1)
WIDTH = 256  # channels inside DeepLabV3's head, and the most in U-Net's


class Head(nn.Module):
    """What the heads share."""

    outputs: int  # K
    maps: tuple[StageMap, ...]  # of the stages that it reads, finest first
    dtype: DTypeLike = jnp.float32
    bn_axis: str | None = None
    shape: tuple[int, ...] = ()  # height and width of the network's input, by which tokens are a map; (): a square

    @property
    def stages(self) -> tuple[str, ...]:
        return tuple(one.name for one in self.maps)

    @staticmethod
    def chosen(backbone: Backbone) -> tuple[StageMap, ...]:
        """The stages that the head reads, finest first: the last map."""
        return (stages.last(backbone),)

    @classmethod
    def on(cls, backbone: Backbone, outputs: int) -> "Head":
        """The head for this backbone."""
        return cls(outputs, cls.chosen(backbone), backbone.dtype, getattr(backbone, "bn_axis", None))

    def read(self, outputs: Mapping[str, Tree]) -> list[jax.Array]:
        """The maps (B, h, w, D) of its stages, finest first."""
        return [as_map(outputs[one.name], one, self.shape) for one in self.maps]

    def last(self, x: jax.Array, name: str) -> jax.Array:
        """1x1 to the classes, in float32."""
        return Conv(self.outputs, 1, bias=True, kernel_init=TORCH_LINEAR, name=name)(x.astype(jnp.float32))


class Linear(Head):
    """A classifier of every place of the last map."""

    @nn.compact
    def __call__(self, outputs: Mapping[str, Tree], mode: Mode) -> jax.Array:
        del mode
        return self.last(self.read(outputs)[0], "classifier")


class Fcn(Head):
    """torchvision's FCN head (Long et al. 2015, arXiv 1411.4038): 3x3 to a quarter of the channels, then 1x1."""

    @nn.compact
    def __call__(self, outputs: Mapping[str, Tree], mode: Mode) -> jax.Array:
        (x,) = self.read(outputs)
        x = ConvNorm(x.shape[-1] // 4, 3, dtype=self.dtype, bn_axis=self.bn_axis, name="inner")(x, mode)
        x = nn.Dropout(0.1)(x, deterministic=not mode.trains(self.path))
        return self.last(x, "classifier")


class DeepLab(Head):
    """torchvision's DeepLabV3 head (Chen et al. 2017, arXiv 1706.05587): convolutions of several dilations."""

    @nn.compact
    def __call__(self, outputs: Mapping[str, Tree], mode: Mode) -> jax.Array:
        (x,) = self.read(outputs)
        options = {"dtype": self.dtype, "bn_axis": self.bn_axis}
        rates = [max(1, round(rate * 8 / self.maps[0].stride)) for rate in RATES]  # the same pixels at every stride
        branches = [ConvNorm(WIDTH, 1, name="branch0", **options)(x, mode)]
        for i, rate in enumerate(rates, start=1):
            branches.append(ConvNorm(WIDTH, 3, rate, name=f"branch{i}", **options)(x, mode))
        whole = ConvNorm(WIDTH, 1, name="whole", **options)(x.mean(axis=(1, 2), keepdims=True), mode)
        branches.append(jnp.broadcast_to(whole, branches[0].shape))
        x = ConvNorm(WIDTH, 1, name="project", **options)(jnp.concatenate(branches, axis=-1), mode)
        x = nn.Dropout(0.5)(x, deterministic=not mode.trains(self.path))
        return self.last(ConvNorm(WIDTH, 3, name="inner", **options)(x, mode), "classifier")


class Unet(Head):
    """U-Net's decoder (Ronneberger et al. 2015, arXiv 1505.04597) over a pyramid of stages, with BatchNorm.

    The coarsest map is enlarged to the next finer one, joined with it, and convolved twice, down to the finest.
    """

    @staticmethod
    def chosen(backbone: Backbone) -> tuple[StageMap, ...]:
        return stages.pyramid(backbone)

    @nn.compact
    def __call__(self, outputs: Mapping[str, Tree], mode: Mode) -> jax.Array:
        options = {"dtype": self.dtype, "bn_axis": self.bn_axis}
        *finer, x = self.read(outputs)
        x = ConvNorm(min(x.shape[-1], WIDTH), 1, name="coarsest", **options)(x, mode)
        for i, skip in reversed(list(enumerate(finer))):
            x = jnp.concatenate([enlarged(x, skip.shape[1:3]).astype(skip.dtype), skip], axis=-1)
            for n in (1, 2):
                x = ConvNorm(min(skip.shape[-1], WIDTH), 3, name=f"level{i}_conv{n}", **options)(x, mode)
        return self.last(x, "classifier")


class ConvNorm(nn.Module):
    """Convolution without a bias, BatchNorm, ReLU; the map keeps its size."""

    features: int
    size: int
    dilation: int = 1
    dtype: DTypeLike = jnp.float32
    bn_axis: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, mode: Mode) -> jax.Array:
        padding = self.dilation * (self.size // 2)
        options = {"padding": padding, "dilation": self.dilation, "dtype": self.dtype}
        x = Conv(self.features, self.size, name="conv", **options)(x)
        return nn.relu(BatchNorm(dtype=self.dtype, axis_name=self.bn_axis, name="bn")(x, mode))


def enlarged(x: jax.Array, shape: Sequence[int]) -> jax.Array:
    """(B, h, w, C) -> (B, *shape, C) float32, bilinear between centres, as torch's align_corners=False."""
    size = (x.shape[0], *shape, x.shape[-1])
    return jax.image.resize(x.astype(jnp.float32), size, "linear", antialias=False)


HEADS: dict[str, type[Head]] = {"linear": Linear, "fcn": Fcn, "unet": Unet, "deeplab": DeepLab}
