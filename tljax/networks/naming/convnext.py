"""The tensors of ConvNeXts: torchvision's names, and timm's of ConvNeXt V2, which torchvision does not have."""

from collections.abc import Iterator
from typing import Protocol

from tljax.core.types import Name

TORCHVISION = "features.0", "classifier.0", "classifier.2"  # stem, last LayerNorm, classifier
TIMM = "stem", "head.norm", "head.fc"


class Sizes(Protocol):
    """What decides which tensors there are."""

    @property
    def blocks(self) -> tuple[int, ...]: ...
    @property
    def layer_scale(self) -> bool: ...
    @property
    def response_norm(self) -> bool: ...
    @property
    def convolutions(self) -> bool: ...


def rows(shape: Sizes) -> Iterator[Name]:
    """The name table of a network of these sizes."""
    stem, last, head = TIMM if shape.response_norm else TORCHVISION
    yield from _pair(f"{stem}.0", "backbone/stem/conv/kernel", "conv")
    yield from _pair(f"{stem}.1", "backbone/stem/norm/scale")
    for s, blocks in enumerate(shape.blocks, start=1):
        if s > 1:  # in torchvision the downsampling between two stages has an index of its own
            down = f"stages.{s - 1}.downsample" if shape.response_norm else f"features.{2 * s - 2}"
            yield from _pair(f"{down}.0", f"backbone/stage{s}/down_norm/scale")
            yield from _pair(f"{down}.1", f"backbone/stage{s}/down_conv/kernel", "conv")
        for b in range(blocks):
            yield from _block(shape, s, b)
    yield from _pair(last, "backbone/norm/scale")
    yield from _pair(head, "head/kernel", "dense")


def _block(shape: Sizes, s: int, b: int) -> Iterator[Name]:
    ours = f"backbone/stage{s}/block{b}"
    if shape.response_norm:
        theirs, words = f"stages.{s - 1}.blocks.{b}", ("conv_dw", "norm", "mlp.fc1", "mlp.fc2")
        yield from _pair(f"{theirs}.mlp.grn", f"{ours}/response_norm/scale")
    else:
        theirs, words = f"features.{2 * s - 1}.{b}", ("block.0", "block.2", "block.3", "block.5")
    if shape.layer_scale:
        yield Name(f"{theirs}.layer_scale", "params", f"{ours}/layer_scale", "channels")
    dense = "dense as conv" if shape.convolutions else "dense"
    layers = (("conv/kernel", "conv"), ("norm/scale", "same"), ("expand/kernel", dense), ("project/kernel", dense))
    for word, (layer, layout) in zip(words, layers, strict=True):
        yield from _pair(f"{theirs}.{word}", f"{ours}/{layer}", layout)


def _pair(theirs: str, ours: str, layout: str = "same") -> Iterator[Name]:
    """The rows of a weight and its bias."""
    yield Name(f"{theirs}.weight", "params", ours, layout)
    yield Name(f"{theirs}.bias", "params", f"{ours.rpartition('/')[0]}/bias")
