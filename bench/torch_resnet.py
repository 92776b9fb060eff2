"""ResNet v1.5 in plain torch, and its training step: what bench/train_step.py compares with."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    """Basic (3x3, 3x3) or bottleneck (1x1, 3x3, 1x1)."""

    def __init__(self, shape: Any, channels: int, width: int, stride: int) -> None:
        super().__init__()
        inner, out = width * shape.inner, width * (4 if shape.bottleneck else 1)
        bottleneck = ((1, 1, 1), (3, stride, shape.groups), (1, 1, 1))
        sizes = bottleneck if shape.bottleneck else ((3, stride, 1), (3, 1, 1))
        widths = (channels, inner, inner, out) if shape.bottleneck else (channels, width, out)
        self.convs = nn.ModuleList(
            nn.Conv2d(i, o, size, step, size // 2, groups=groups, bias=False)
            for i, o, (size, step, groups) in zip(widths[:-1], widths[1:], sizes, strict=True)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(o) for o in widths[1:])
        same = stride == 1 and channels == out
        shortcut = (nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))
        self.shortcut = nn.Identity() if same else nn.Sequential(*shortcut)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, last = x, len(self.convs) - 1
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            y = norm(conv(y))
            y = functional.relu(y, inplace=True) if i < last else y
        return functional.relu(y + self.shortcut(x), inplace=True)


def build(shape: Any, classes: int) -> nn.Sequential:
    """Children stem, stage1 ... stage4, pool, head of a `tljax.models.resnet.Variant`."""
    norm, relu = nn.BatchNorm2d(shape.width), nn.ReLU(inplace=True)
    stem = nn.Sequential(nn.Conv2d(3, shape.width, 7, 2, 3, bias=False), norm, relu, nn.MaxPool2d(3, 2, 1))
    network, channels = nn.Sequential(), shape.width
    network.add_module("stem", stem)
    for i, blocks in enumerate(shape.blocks):
        width, stage = shape.width * 2**i, nn.Sequential()
        for b in range(blocks):
            stage.append(Block(shape, channels, width, 2 if i and not b else 1))
            channels = width * (4 if shape.bottleneck else 1)
        network.add_module(f"stage{i + 1}", stage)
    network.add_module("pool", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    network.add_module("head", nn.Linear(channels, classes))
    return network


def steps(
    shape: Any,
    batch: dict[str, np.ndarray],
    classes: int,
    dtype: str,
    learning: Sequence[str] | None,
    *,
    cached: bool,
) -> Callable[[int], None]:
    """`steps(n)` as bench/train_step.py wants it; children not in `learning` are frozen, in evaluation mode."""
    device, network = "cuda" if torch.cuda.is_available() else "cpu", build(shape, classes)
    for name, child in network.named_children():
        awake = learning is None or name in learning
        child.train(awake).requires_grad_(awake)
    layout = torch.channels_last if device == "cuda" else torch.contiguous_format
    network = network.to(device).to(memory_format=layout)
    x = torch.from_numpy(batch["image"]).permute(0, 3, 1, 2).contiguous().to(device, memory_format=layout)
    labels = torch.from_numpy(batch["label"]).long().to(device)
    if cached:
        with torch.no_grad():
            x, network = network[:-1](x), network[-1:]
    sgd = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], 0.01, momentum=0.9)
    model = torch.compile(network) if device == "cuda" else network
    reduced = torch.autocast(device, torch.bfloat16) if dtype == "bfloat16" else contextlib.nullcontext()

    def run(n: int) -> None:
        for _ in range(n):
            sgd.zero_grad(set_to_none=True)
            with reduced:
                loss = functional.cross_entropy(model(x), labels)
            loss.backward()
            sgd.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return run
