"""Fit the first kernel and the card of pretrained weights to pictures with another number of channels.

The rule keeps sums. Let the weights have n channels, and the pictures m. If m > n, channel i gets the kernel of
channel i mod n, divided by the number of channels that get the same kernel. If m < n, channel i gets the sum of the
kernels j with j mod m = i. So one channel gets R + G + B, and four channels get R / 2, G, B, R / 2: if the
fourth channel of a picture repeats the first, the output is the same as for its first three channels. For one channel,
and for multiples of three, this is timm's `adapt_input_conv`.
"""

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np

from tljax.core.types import Arrays, Card, Name, Published
from tljax.weights.layouts import TO_OURS, TO_THEIRS


def fit(published: Published, names: Iterable[Name], channels: int) -> tuple[Published, tuple[str, ...]]:
    """The weights for inputs of `channels`, and notes of the changes; weights that fit are returned unchanged.

    The first kernel in a family's name table is the one that gets the pixels.
    """
    kernel = first_kernel(published.arrays, names)
    if kernel is None or kernel[1].shape[2] == channels:
        return published, ()
    stem, ours = kernel
    before, back = ours.shape[2], TO_THEIRS[stem.layout]
    backwards = published.card.channel_order == "BGR"
    fitted = ours[:, :, ::-1] if backwards else ours
    fitted = np.einsum("hwio,ic->hwco", fitted.astype(np.float32), spread(before, channels)).astype(ours.dtype)
    fitted = np.ascontiguousarray(fitted.transpose(back) if back else fitted)
    arrays = Arrays.of(published.arrays, {stem.published: lambda: fitted})
    note = f"channels: {before} -> {channels}, sums kept: {stem.published}, mean and std"
    return dataclasses.replace(published, arrays=arrays, card=card(published.card, channels)), (note,)


def first_kernel(arrays: Mapping[str, np.ndarray], names: Iterable[Name]) -> tuple[Name, np.ndarray] | None:
    """The row of the kernel that gets the pixels, and this kernel as (H, W, I, O); None if there is none.

    Also None if the kernel has fewer outputs than inputs: it is transposed, and `placement` then raises an error.
    """
    stem = next((row for row in names if row.path.endswith("kernel")), None)
    kernel = arrays.get(stem.published) if stem else None
    if stem is None or kernel is None or kernel.ndim != 4:
        return None
    ours = kernel.transpose(TO_OURS[stem.layout] or range(4))
    return None if ours.shape[2] > ours.shape[3] else (stem, ours)


def card(own: Card, channels: int) -> Card:
    """The card for pictures of `channels`: a channel's mean and std are averages over the channels of its kernel."""
    if len(own.mean) == channels:
        return own
    mean, std = (np.array(values[::-1] if own.channel_order == "BGR" else values) for values in (own.mean, own.std))
    shares = spread(len(mean), channels) > 0
    shares = shares / shares.sum(axis=0)
    mean, std = (tuple(float(x) for x in values @ shares) for values in (mean, std))
    return dataclasses.replace(own, mean=mean, std=std, channel_order="RGB")


def spread(before: int, channels: int) -> np.ndarray:
    """(seen, channels) float32: the share of each published channel's kernel in each channel; rows sum to 1."""
    known, new = np.arange(before), np.arange(channels)
    takes = (new % before == known[:, None]) if channels > before else (known[:, None] % channels == new)
    return (takes / takes.sum(axis=1, keepdims=True)).astype(np.float32)
