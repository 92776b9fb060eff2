"""MobileNetV2 (Sandler et al. 2018) and MobileNetV3 (Howard et al. 2019): torchvision's naming, NHWC.

Stages: stem, then one for every width of blocks (seven in v2, five in v3_small, six in v3_large), top.
v3 also has fc, which is a part of the classifier in torchvision.
"""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from tljax.core.types import Json, Name, VariantLike
from tljax.networks import inverted_residual_names, sizes
from tljax.networks.inverted_residual import InvertedResidualNet, Sizes, Variant, divisible

INPUT = "image"
UNUSED = inverted_residual_names.UNUSED


LAST = r"features\.(\d+)\.conv\.\d+\.weight"  # the last convolution of a block of v2, and its BatchNorm
V2_BLOCKS = (1, 2, 3, 4, 3, 3, 1)


def _v2(numbers: Sequence[int] = V2_BLOCKS) -> Variant:
    """v2 as in table 2 of the paper, or with other `numbers` of blocks."""
    stages, channels = [], 32
    # A row for each stage: expansion factor of the channels, channels, stride of the first block.
    rows = ((1, 16, 1), (6, 24, 2), (6, 32, 2), (6, 64, 2), (6, 96, 1), (6, 160, 2), (6, 320, 1))
    for blocks, (factor, out, stride) in zip(numbers, rows, strict=True):
        rest = [Sizes(factor * out, out)] * (blocks - 1)
        stages.append((Sizes(factor * channels, out, stride=stride), *rest))
        channels = out
    return Variant(32, tuple(stages), top=1280, layers="conv")


def _v3(top: int, dense: int, *stages: tuple[Sizes, ...]) -> Variant:
    return Variant(
        16,
        stages,
        top,
        dense,
        activation="hard_swish",
        squeeze_activation="relu",
        gate="hard_sigmoid",
        epsilon=1e-3,
        momentum=0.99,
    )


def _relu(inner: int, out: int, kernel: int, stride: int = 1, *, squeeze: bool = False) -> Sizes:
    return Sizes(inner, out, kernel, stride, divisible(inner // 4) if squeeze else 0, "relu")


def _swish(inner: int, out: int, kernel: int, stride: int = 1, *, squeeze: bool = True) -> Sizes:
    return Sizes(inner, out, kernel, stride, divisible(inner // 4) if squeeze else 0, "hard_swish")


VARIANTS = {
    "v2": _v2(),
    "v3_small": _v3(  # table 2 of the paper
        576,
        1024,
        (_relu(16, 16, 3, 2, squeeze=True),),
        (_relu(72, 24, 3, 2), _relu(88, 24, 3)),
        (_swish(96, 40, 5, 2), _swish(240, 40, 5), _swish(240, 40, 5)),
        (_swish(120, 48, 5), _swish(144, 48, 5)),
        (_swish(288, 96, 5, 2), _swish(576, 96, 5), _swish(576, 96, 5)),
    ),
    "v3_large": _v3(  # table 1
        960,
        1280,
        (_relu(16, 16, 3),),
        (_relu(64, 24, 3, 2), _relu(72, 24, 3)),
        (_relu(72, 40, 5, 2, squeeze=True), _relu(120, 40, 5, squeeze=True), _relu(120, 40, 5, squeeze=True)),
        (
            _swish(240, 80, 3, 2, squeeze=False),
            _swish(200, 80, 3, squeeze=False),
            _swish(184, 80, 3, squeeze=False),
            _swish(184, 80, 3, squeeze=False),
        ),
        (_swish(480, 112, 3), _swish(672, 112, 3)),
        (_swish(672, 160, 5, 2), _swish(960, 160, 5), _swish(960, 160, 5)),
    ),
}


def variant_of(choice: VariantLike) -> Variant:
    """The sizes for a variant's name, for their fields, or for a `Variant`; ConfigError lists the names."""
    return sizes.variant(VARIANTS, choice, "model.variant of 'mobilenet'")


def infer(arrays: Mapping[str, np.ndarray], config: Json | None) -> Variant:
    """The sizes of published tensors; KeyError if they do not belong to a MobileNet.

    v2 may have any number of channels and of blocks; v3 may have any number of channels.
    """
    del config  # the tensors show all sizes
    matches = [(match, arrays[match[0]]) for match in (re.fullmatch(LAST, name) for name in arrays) if match]
    widths = {int(match[1]): len(array) for match, array in matches if array.ndim == 4}  # not BatchNorm's
    outs = [widths[i] for i in sorted(widths)]
    # In narrow networks, two stages side by side may have the same width.
    numbers = V2_BLOCKS if len(outs) == sum(V2_BLOCKS) else [len(list(run)) for _, run in itertools.groupby(outs)]
    if outs and len(numbers) != len(V2_BLOCKS):
        raise KeyError(f"a network other than {', '.join(VARIANTS)}")
    templates = {"v2": _v2(numbers)} if outs else VARIANTS
    return inverted_residual_names.infer(templates, VARIANTS, rows, arrays)


def build(
    variant: VariantLike, *, dtype: DTypeLike = jnp.float32, bn_axis: str | None = None, dropout: float = 0.2
) -> InvertedResidualNet:
    """The backbone.

    Args:
      bn_axis: the pmap axis that BatchNorm statistics span, if any.
      dropout: the share of the features that a training step drops, unless the last stage is frozen;
        it needs an rng "dropout". torchvision trained all three networks with 0.2.
    """
    return InvertedResidualNet(variant_of(variant), dtype=dtype, bn_axis=bn_axis, dropout=dropout)


def names(variant: VariantLike) -> tuple[Name, ...]:
    """Torchvision's name of every tensor, and its path here."""
    return tuple(rows(variant_of(variant)))


def rows(shape: Variant) -> Iterator[Name]:
    """The name table of a network of these sizes; torchvision numbers the blocks through all stages."""
    blocks = [f"features.{i + 1}" for i in range(sum(map(len, shape.blocks)))]
    return inverted_residual_names.rows(shape, blocks, top=f"features.{len(blocks) + 1}")
