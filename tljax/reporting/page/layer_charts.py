"""What layers respond to, drawn: filters side by side, and the maps of every stage."""

from collections.abc import Mapping

import numpy as np

from tljax.reporting.figures import plt
from tljax.reporting.page.pictures import Picture, figure


def tiles(images: np.ndarray, alternative: str, *, across: int = 16) -> Picture:
    """Small pictures (n, h, w) or (n, h, w, C), from 0 to 1, side by side."""
    down = -(-len(images) // across)
    drawn, axes = plt.subplots(down, across, figsize=(7, 0.47 * down), squeeze=False, layout="constrained")
    for axis, image in zip(axes.flat, images, strict=False):
        axis.imshow(image.squeeze(), cmap="gray", interpolation="nearest")
    for axis in axes.flat:
        axis.axis("off")
    return figure(drawn, alternative, vector=False)


def stages(maps: Mapping[str, np.ndarray], name: str) -> Picture:
    """What each stage makes of a picture: a row a stage, its channels (n, h, w) side by side."""
    across = max(len(some) for some in maps.values())
    size = (0.95 * across + 0.9, 0.98 * len(maps))
    drawn, axes = plt.subplots(len(maps), across, figsize=size, squeeze=False, layout="constrained")
    for row, (stage, some) in zip(axes, maps.items(), strict=True):
        for axis, channel in zip(row, some, strict=False):
            axis.imshow(channel, cmap="viridis", interpolation="nearest")
        row[0].set_ylabel(f"{stage}\n{some.shape[1]} x {some.shape[2]}", fontsize=8)
        for axis in row:
            axis.set(xticks=[], yticks=[])
            axis.set_frame_on(False)
    return figure(drawn, f"Feature maps of {name}, from edges to parts: {', '.join(maps)}.", vector=False)
