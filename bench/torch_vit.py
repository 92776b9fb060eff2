"""ViT in plain torch with its fused attention, and its step by AdamW: what bench/train_step.py compares with."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional


class Embed(nn.Module):
    """Patches, the class token and positions: (B, 3, H, W) -> (B, N, D)."""

    def __init__(self, shape: Any, tokens: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, shape.width, shape.patch, shape.patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, shape.width))
        self.positions = nn.Parameter(torch.randn(1, tokens, shape.width) * 0.02)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.proj(x).flatten(2).transpose(1, 2)
        return torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1) + self.positions


class Block(nn.Module):
    """Attention and MLP, each with LayerNorm before it and a residual connection."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width, 1e-6), nn.LayerNorm(width, 1e-6)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(self.norm1(x)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        y = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + self.proj(y)
        return x + self.mlp(self.norm2(x))


class First(nn.Module):
    """The class token: (B, N, D) -> (B, D)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, 0]


def build(shape: Any, pixels: int, classes: int) -> nn.Sequential:
    """Children embed, block0 ..., norm, pool, head of a `vision_transformer.Variant` with a class token alone."""
    network = nn.Sequential()
    network.add_module("embed", Embed(shape, (pixels // shape.patch) ** 2 + 1))
    for i in range(shape.depth):
        network.add_module(f"block{i}", Block(shape.width, shape.heads))
    network.add_module("norm", nn.LayerNorm(shape.width, 1e-6))
    network.add_module("pool", First())
    network.add_module("head", nn.Linear(shape.width, classes))
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
    """`steps(n)` as bench/train_step.py wants it; children not in `learning` are frozen."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = build(shape, batch["image"].shape[1], classes)
    for name, child in network.named_children():
        child.requires_grad_(learning is None or name in learning)
    network = network.to(device)
    x = torch.from_numpy(batch["image"]).permute(0, 3, 1, 2).contiguous().to(device)
    labels = torch.from_numpy(batch["label"]).long().to(device)
    if cached:
        with torch.no_grad():
            x, network = network[:-1](x), network[-1:]
    adamw = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], 1e-4)
    model = torch.compile(network) if device == "cuda" else network
    reduced = torch.autocast(device, torch.bfloat16) if dtype == "bfloat16" else contextlib.nullcontext()

    def run(n: int) -> None:
        for _ in range(n):
            adamw.zero_grad(set_to_none=True)
            with reduced:
                loss = functional.cross_entropy(model(x), labels)
            loss.backward()
            adamw.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return run
