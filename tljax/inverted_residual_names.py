"""Torchvision's names of a network of inverted residual blocks, and the variant that published tensors are of."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np

from tljax.inverted_residual import Sizes, Variant
from tljax.types import Name

# Tensors that torchvision's files hold and a function of the input does not need.
UNUSED = (r".*\.num_batches_tracked",)


def rows(shape: Variant, blocks: Iterable[str], top: str) -> Iterator[Name]:
    """The name table: torchvision's names of every block, in order, and of the last convolution, are given."""
    yield from _conv_norm("features.0.0", "features.0.1", "backbone/stem")
    given, channels = iter(blocks), shape.stem
    for s, stage in enumerate(shape.blocks, start=1):
        for b, sizes in enumerate(stage):
            yield from _block(shape, sizes, channels, f"{next(given)}.{shape.layers}", f"backbone/stage{s}/block{b}")
            channels = sizes.out
    yield from _conv_norm(f"{top}.0", f"{top}.1", "backbone/top")
    if shape.dense:
        yield from _pair("classifier.0", "backbone/fc/dense", "dense")
    yield from _pair("classifier.3" if shape.dense else "classifier.1", "head", "dense")


def _block(shape: Variant, sizes: Sizes, channels: int, theirs: str, ours: str) -> Iterator[Name]:
    names = ["depthwise", *(("squeeze_excite",) if sizes.squeezed else ()), "project"]
    names = names if sizes.inner == channels else ["expand", *names]
    for i, name in enumerate(names):
        if name == "squeeze_excite":
            yield from _pair(f"{theirs}.{i}.fc1", f"{ours}/{name}/reduce", "conv")
            yield from _pair(f"{theirs}.{i}.fc2", f"{ours}/{name}/expand", "conv")
        elif name == "project" and shape.layers == "conv":  # MobileNetV2 does not group its last two layers
            yield from _conv_norm(f"{theirs}.{i}", f"{theirs}.{i + 1}", f"{ours}/{name}")
        else:
            yield from _conv_norm(f"{theirs}.{i}.0", f"{theirs}.{i}.1", f"{ours}/{name}")


def _conv_norm(conv: str, norm: str, ours: str) -> Iterator[Name]:
    yield Name(f"{conv}.weight", "params", f"{ours}/conv/kernel", "conv")
    yield Name(f"{norm}.weight", "params", f"{ours}/bn/scale")
    yield Name(f"{norm}.bias", "params", f"{ours}/bn/bias")
    yield Name(f"{norm}.running_mean", "batch_stats", f"{ours}/bn/mean")
    yield Name(f"{norm}.running_var", "batch_stats", f"{ours}/bn/var")


def _pair(theirs: str, ours: str, layout: str) -> Iterator[Name]:
    yield Name(f"{theirs}.weight", "params", f"{ours}/kernel", layout)
    yield Name(f"{theirs}.bias", "params", f"{ours}/bias")


def infer(
    variants: Mapping[str, Variant], table: Callable[[Variant], Iterable[Name]], arrays: Mapping[str, np.ndarray]
) -> Variant:
    """The variant whose `table` has the kernels that these tensors have, and whose `top` is as wide.

    Raises:
      KeyError: it is none of `variants`.
    """
    kernels = {name for name in arrays if re.fullmatch(r"features\..*\.weight", name)}
    for shape in variants.values():
        rows = {row.path: row.published for row in table(shape) if row.published.endswith("weight")}
        theirs = {name for path, name in rows.items() if name.startswith("features.")}
        if kernels == theirs and arrays[rows["backbone/top/conv/kernel"]].shape[0] == shape.top:
            return shape
    raise KeyError(f"a network other than {', '.join(variants)}")
