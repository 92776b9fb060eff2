"""EfficientNet (Tan and Le 2019) and EfficientNetV2 (Tan and Le 2021, arXiv:2104.00298): torchvision's naming, NHWC.

Stages: stem; stage1 ... stage7, which are stages 2 to 8 of the paper's table 1; top. V2-S has six stages between them.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from tljax.core.types import Json, Name, VariantLike
from tljax.networks import inverted_residual_names, sizes
from tljax.networks.inverted_residual import InvertedResidualNet, Sizes, Variant, divisible

INPUT = "image"
UNUSED = inverted_residual_names.UNUSED

# b0, a row for each stage: expansion factor of the channels, kernel, stride of the first block, channels, blocks.
STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)


# The same of V2 (table 4 of its paper) without channels and blocks, which follow; the first three stages are fused.
V2_STAGES = ((1, 3, 1), (4, 3, 2), (4, 3, 2), (4, 3, 2), (6, 3, 1), (6, 3, 2), (6, 3, 1))
FUSED = 3


def scaled(width: float, depth: float, dropout: float, *, epsilon: float = 1e-5, momentum: float = 0.9) -> Variant:
    """b0 with `width` times the channels, rounded to multiples of 8, and `depth` times the blocks, rounded up."""
    numbers = [math.ceil(blocks * depth) for *_, blocks in STAGES]
    return _variant(width, numbers, dropout, epsilon, momentum)


def _variant(
    width: float, numbers: Sequence[int], dropout: float = 0.2, epsilon: float = 1e-5, momentum: float = 0.9
) -> Variant:
    """b0 with `width` times the channels, and in every stage the number of blocks in `numbers`."""
    stem = channels = divisible(32 * width)
    stages = []
    for blocks, (factor, kernel, stride, base, _) in zip(numbers, STAGES, strict=True):
        out, stage = divisible(base * width), []
        for i in range(blocks):
            inner, squeezed = divisible(channels * factor), max(1, channels // 4)
            stage.append(Sizes(inner, out, kernel, stride if i == 0 else 1, squeezed, "silu"))
            channels = out
        stages.append(tuple(stage))
    return Variant(
        stem,
        tuple(stages),
        top=4 * channels,
        activation="silu",
        squeeze_activation="silu",
        gate="sigmoid",
        dropout=dropout,
        epsilon=epsilon,
        momentum=momentum,
    )


def _v2(stem: int, numbers: Sequence[int], widths: Sequence[int] = (), dropout: float = 0.2) -> Variant:
    """V2 with these numbers of blocks and channels in its stages; without `widths`, channels of no meaning."""
    channels, stages = stem, []
    for s, (blocks, out) in enumerate(zip(numbers, widths or range(stem, stem + len(numbers)), strict=True)):
        (factor, kernel, stride), stage = V2_STAGES[s], []
        for i in range(blocks):
            inner, squeezed = channels * factor, 0 if s < FUSED else max(1, channels // 4)
            stage.append(Sizes(inner, out, kernel, stride if i == 0 else 1, squeezed, "silu", fused=s < FUSED))
            channels = out
        stages.append(tuple(stage))
    return Variant(
        stem,
        tuple(stages),
        top=1280,
        activation="silu",
        squeeze_activation="silu",
        gate="sigmoid",
        dropout=dropout,
        epsilon=1e-3,
    )


V2_S = _v2(24, (2, 4, 4, 6, 9, 15), (24, 48, 64, 128, 160, 256))
VARIANTS = {
    "b0": scaled(1.0, 1.0, 0.2),
    "b1": scaled(1.0, 1.1, 0.2),
    "b2": scaled(1.1, 1.2, 0.3),
    "b3": scaled(1.2, 1.4, 0.3),
    "b4": scaled(1.4, 1.8, 0.4),
    # torchvision's b5 to b7 keep the BatchNorm settings of the authors' files.
    "b5": scaled(1.6, 2.2, 0.4, epsilon=1e-3, momentum=0.99),
    "b6": scaled(1.8, 2.6, 0.5, epsilon=1e-3, momentum=0.99),
    "b7": scaled(2.0, 3.1, 0.5, epsilon=1e-3, momentum=0.99),
    "v2_s": V2_S,
    "v2_m": _v2(24, (3, 5, 5, 7, 14, 18, 5), (24, 48, 80, 160, 176, 304, 512), 0.3),
    "v2_s_tf": dataclasses.replace(V2_S, padding="same"),  # the authors' weights, in timm
    "v2_l": _v2(32, (4, 7, 7, 10, 19, 25, 7), (32, 64, 96, 192, 224, 384, 640), 0.4),
}


def variant_of(choice: VariantLike) -> Variant:
    """The sizes for a variant's name, for their fields, or for a `Variant`; ConfigError lists the names."""
    return sizes.variant(VARIANTS, choice, "model.variant of 'efficientnet'")


def infer(arrays: Mapping[str, np.ndarray], config: Json | None) -> Variant:
    """The sizes of published tensors; KeyError if they do not belong to an EfficientNet."""
    del config  # the tensors show all sizes
    numbers = sizes.depths(arrays, r"features\.(\d+)\.\d+\.block\.0\.0\.weight")
    templates = {"": _variant(1.0, numbers)} if len(numbers) == len(STAGES) else {}
    if FUSED < len(numbers) <= len(V2_STAGES):
        templates["v2"] = _v2(24, numbers)
    return inverted_residual_names.infer(templates, VARIANTS, rows, arrays)


def build(
    variant: VariantLike,
    *,
    dtype: DTypeLike = jnp.float32,
    bn_axis: str | None = None,
    dropout: float | None = None,
    drop_path: float = 0.0,
) -> InvertedResidualNet:
    """The backbone.

    Args:
      bn_axis: the pmap axis that BatchNorm statistics span, if any.
      dropout: the share of the features that a training step drops, unless the last stage is frozen;
        it needs an rng "dropout". None: as in the paper, from 0.2 for b0 to 0.5 for b7.
      drop_path: stochastic depth: a training step skips block i of n for one example with probability
        drop_path i / n; frozen blocks are never skipped. It needs an rng "dropout". The paper trained all
        networks with 0.2. The default is 0, as in ConvNeXt: in a short fine-tuning it would mostly take
        blocks away from the pretrained network.
    """
    shape = variant_of(variant)
    dropout = shape.dropout if dropout is None else dropout
    return InvertedResidualNet(shape, dtype=dtype, bn_axis=bn_axis, dropout=dropout, drop_path=drop_path)


def names(variant: VariantLike) -> tuple[Name, ...]:
    """Torchvision's name of every tensor, and its path here."""
    return tuple(rows(variant_of(variant)))


def rows(shape: Variant) -> Iterator[Name]:
    """The name table of a network of these sizes."""
    blocks = [f"features.{s}.{b}" for s, stage in enumerate(shape.blocks, start=1) for b in range(len(stage))]
    return inverted_residual_names.rows(shape, blocks, top=f"features.{len(shape.blocks) + 1}")
