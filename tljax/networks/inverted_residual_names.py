"""Torchvision's names for a network of inverted residual blocks, and the variant of published tensors."""

import dataclasses
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

import numpy as np

from tljax.core.errors import WeightsError
from tljax.core.types import Arrays, Name
from tljax.networks.inverted_residual import Sizes, Variant

# Tensors in torchvision's files that the network does not need to compute its output.
UNUSED = (r".*\.num_batches_tracked",)
PARTS = ("expand", "depthwise", "squeeze_excite", "project")  # the parts of a block, in order


def rows(shape: Variant, blocks: Iterable[str], top: str) -> Iterator[Name]:
    """The name table; `blocks` are torchvision's names of all blocks, in order, `top` that of the last convolution."""
    yield from _conv_norm("features.0.0", "features.0.1", "backbone/stem")
    prefixes, channels = iter(blocks), shape.stem
    for s, stage in enumerate(shape.blocks, start=1):
        for b, sizes in enumerate(stage):
            yield from _block(shape, sizes, channels, f"{next(prefixes)}.{shape.layers}", f"backbone/stage{s}/block{b}")
            channels = sizes.out
    yield from _conv_norm(f"{top}.0", f"{top}.1", "backbone/top")
    if shape.dense:
        yield from _pair("classifier.0", "backbone/fc/dense", "dense")
    yield from _pair("classifier.3" if shape.dense else "classifier.1", "head", "dense")


def _block(shape: Variant, sizes: Sizes, channels: int, theirs: str, ours: str) -> Iterator[Name]:
    absent = {"expand": sizes.inner == channels, "depthwise": sizes.fused, "squeeze_excite": not sizes.squeezed}
    names = [part for part in PARTS if not absent.get(part)]
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
    templates: Mapping[str, Variant],
    variants: Mapping[str, Variant],
    table: Callable[[Variant], Iterable[Name]],
    arrays: Mapping[str, np.ndarray],
) -> Variant:
    """The template whose `table` has the same kernels as these tensors, with the channels of the tensors.

    Tensors do not show strides and activations: these come from the template. Epsilon, momentum and dropout come from
    the entry of `variants` that has these sizes.

    Raises:
      KeyError: no template fits.
    """
    kernels = {name for name in arrays if re.fullmatch(r"features\..*\.weight", name)}
    for shape in templates.values():
        rows = {row.path: row.published for row in table(shape) if row.published.endswith("weight")}
        if kernels == {name for name in rows.values() if name.startswith("features.")}:
            measured = _measured(shape, {path: arrays[name].shape for path, name in rows.items() if name in arrays})
            return next((known for known in variants.values() if _sizes(known) == _sizes(measured)), measured)
    raise KeyError(f"a network other than {', '.join(variants)}")


def _measured(shape: Variant, shapes: Mapping[str, tuple[int, ...]]) -> Variant:
    """`shape` with the channels of these kernels. `shapes`: path here -> published shape, (O, I, H, W)."""

    def block(sizes: Sizes, ours: str) -> Sizes:
        spatial = next(part for part in (("expand", "project") if sizes.fused else ("depthwise",)) if
                       f"{ours}/{part}/conv/kernel" in shapes)  # fmt: skip
        inner, before, kernel, _ = shapes[f"{ours}/{spatial}/conv/kernel"]
        inner = before if spatial == "project" else inner  # the only convolution of the block
        squeezed = shapes[f"{ours}/squeeze_excite/reduce/kernel"][0] if sizes.squeezed else 0
        out = shapes[f"{ours}/project/conv/kernel"][0]
        return dataclasses.replace(sizes, inner=inner, out=out, kernel=kernel, squeezed=squeezed)

    return dataclasses.replace(
        shape,
        stem=shapes["backbone/stem/conv/kernel"][0],
        blocks=tuple(
            tuple(block(sizes, f"backbone/stage{s}/block{b}") for b, sizes in enumerate(stage))
            for s, stage in enumerate(shape.blocks, start=1)
        ),
        top=shapes["backbone/top/conv/kernel"][0],
        dense=shapes["backbone/fc/dense/kernel"][0] if shape.dense else 0,
    )


def _sizes(shape: Variant) -> Variant:
    """`shape` without the settings that do not show in tensors."""
    return dataclasses.replace(shape, dropout=0.0, epsilon=0.0, momentum=0.0)


def arranged(arrays: Mapping[str, np.ndarray], *, counted: bool, first_adds: bool = True) -> Arrays:
    """Renames tensors from the neutral names of a spelling to torchvision's; other tensors keep their names.

    "blocks.2.0.project.conv.weight" belongs to the first block of the second stage; stages are numbered from 1. If the
    library numbers its blocks through all stages, the stage is always 0: blocks of one width then form a stage.
    "top.conv.weight" belongs to the last convolution.

    Args:
      counted: whether torchvision numbers the blocks through all stages (features.7) or not (features.3.0).
      first_adds: whether the first block of the library adds its input if shapes agree, as our block does.

    Raises:
      WeightsError: the library's first block does not add its input, but shapes agree; or a block has no projection.
    """
    matches = {name: match for name in arrays if (match := re.fullmatch(r"blocks\.(\d+)\.(\d+)\.(\w+)\.(.+)", name))}
    parts: dict[tuple[int, int], set[str]] = {}
    for match in matches.values():
        parts.setdefault((int(match[1]), int(match[2])), set()).add(match[3])
    order = sorted(parts)
    if lacking := [f"blocks.{s}.{b}" for s, b in order if f"blocks.{s}.{b}.project.conv.weight" not in arrays]:
        raise WeightsError(
            f"Every block must end in a projection; these have none: {', '.join(lacking)}. The file is damaged, or its "
            f"network has blocks that tljax does not build, as EfficientNetV2 has. Choose other weights."
        )
    widths = [len(arrays[f"blocks.{s}.{b}.project.conv.weight"]) for s, b in order]
    if not first_adds and widths[0] == len(arrays["features.0.0.weight"]):
        raise WeightsError(
            f"The first block of this network has as many channels as its stem, {widths[0]}. In tljax such a block "
            f"adds its input; in the library of these weights it does not. Choose other weights."
        )
    prefixes = _prefixes(order, widths, counted)
    layers = "block" if any("squeeze_excite" in one for one in parts.values()) else "conv"
    top = int(prefixes[order[-1]].split(".")[1]) + 1
    make: dict[str, Callable[[], np.ndarray]] = {}
    for name in arrays:
        ours = re.sub(r"^top\.conv\.", f"features.{top}.0.", re.sub(r"^top\.bn\.", f"features.{top}.1.", name))
        if match := matches.get(name):
            key, part, leaf = (int(match[1]), int(match[2])), match[3], match[4]
            i = [one for one in PARTS if one in parts[key]].index(part)
            ours = f"{prefixes[key]}.{layers}.{_layer(i, part, leaf, layers)}"
        make[ours] = partial(arrays.__getitem__, name)
    return Arrays(make)


def _prefixes(order: list[tuple[int, int]], widths: list[int], counted: bool) -> dict[tuple[int, int], str]:
    """torchvision's name of every block."""
    if counted:
        return {key: f"features.{i}" for i, key in enumerate(order, start=1)}
    if any(stage for stage, _ in order):
        return {(s, b): f"features.{s}.{b}" for s, b in order}
    runs = [list(run) for _, run in itertools.groupby(range(len(order)), key=widths.__getitem__)]
    return {order[i]: f"features.{s}.{b}" for s, run in enumerate(runs, start=1) for b, i in enumerate(run)}


def _layer(i: int, part: str, leaf: str, layers: str) -> str:
    """The end of torchvision's name: "conv.weight" of layer 1 is "1.0.weight"."""
    kind, last = leaf.split(".", 1)
    if part == "squeeze_excite":
        return f"{i}.fc{1 if kind == 'reduce' else 2}.{last}"
    number = ("conv", "bn").index(kind)
    if part == "project" and layers == "conv":  # MobileNetV2 does not group its last two layers
        return f"{i + number}.{last}"
    return f"{i}.{number}.{last}"
