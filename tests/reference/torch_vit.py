"""ViT and DeiT in torch, written out for comparison: Dosovitskiy et al. 2020, Touvron et al. 2020, Darcet et al. 2023.

The names of tensors are timm's: cls_token, pos_embed, patch_embed.proj, blocks.0.attn.qkv, norm, head.
Nothing of torch's own attention, GELU or LayerNorm is used: each is its formula.
"""

import math

import torch
from torch import Tensor, nn

SIZES = {"tiny": (192, 3, 12), "small": (384, 6, 12), "base": (768, 12, 12), "large": (1024, 16, 24)}
# What scripts/make_reference_outputs.py stores: variant, blocks, input size.
STORED = (
    ("tiny16", 12, (32, 48)),
    ("tiny32", 2, (96, 64)),
    ("tiny16_gap", 2, (32, 48)),
    ("base16_reg8_gap", 2, (32, 48)),
    ("deit_tiny16_distilled", 2, (32, 48)),
)


class LayerNorm(nn.Module):
    """Over the last axis, with the biased variance and eps 1e-6."""

    def __init__(self, width: int):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(dim=-1, keepdim=True)
        deviation = (centred.square().mean(dim=-1, keepdim=True) + 1e-6).sqrt()
        return centred / deviation * self.weight + self.bias


class Attention(nn.Module):
    """softmax(q k / sqrt(d)) v in every head."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads, self.qkv, self.proj = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[-1] // self.heads
        q, k, v = (part.unflatten(-1, (self.heads, size)).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1))
        x = (q @ k.transpose(-1, -2) / math.sqrt(size)).softmax(dim=-1) @ v
        return self.proj(x.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """GELU is x times the normal distribution's cumulative at x."""

    def __init__(self, width: int):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.fc1(x)
        return self.fc2(x * (1 + torch.erf(x / math.sqrt(2))) / 2)


class Block(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.norm1, self.attn = LayerNorm(width), Attention(width, heads)
        self.norm2, self.mlp = LayerNorm(width), Mlp(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Patches(nn.Module):
    def __init__(self, patch: int, width: int):
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, patch)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x).flatten(2).transpose(1, 2)


class ViT(nn.Module):
    """(B, 3, *size) -> ([embed, block0, ..., norm], logits (B, classes)), tokens as (B, N, D).

    Variants are spelt "base16", "base16_gap", "base16_reg8_gap", "deit_base16_distilled"; `depth` cuts one short.
    """

    def __init__(
        self, variant: str, *, size: tuple[int, int] = (224, 224), depth: int | None = None, classes: int = 1000
    ):
        super().__init__()
        kind, registers, self.average, self.distilled = spelt(variant)
        patch, (width, heads, whole) = int(kind[-2:]), SIZES[kind[:-2]]
        counts = {"cls_token": 0 if registers else 1, "dist_token": int(self.distilled), "reg_token": registers}
        self.before = {name: count for name, count in counts.items() if count}
        for name, count in self.before.items():
            self.register_parameter(name, nn.Parameter(torch.zeros(1, count, width)))
        positions = (size[0] // patch) * (size[1] // patch) + (0 if registers else sum(self.before.values()))
        self.pos_embed = nn.Parameter(torch.zeros(1, positions, width))
        self.patch_embed = Patches(patch, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth or whole))
        self.add_module("fc_norm" if self.average else "norm", LayerNorm(width))
        self.head = nn.Linear(width, classes)
        if self.distilled:
            self.head_dist = nn.Linear(width, classes)

    def embed(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x)
        before = [self.get_parameter(name).expand(len(x), -1, -1) for name in self.before]
        if "reg_token" in self.before:
            return torch.cat([*before, x + self.pos_embed], dim=1)
        return torch.cat([*before, x], dim=1) + self.pos_embed

    def forward(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        outputs = [self.embed(x)]
        for block in self.blocks:
            outputs.append(block(outputs[-1]))
        if self.average:
            pooled = self.fc_norm(outputs[-1][:, sum(self.before.values()) :].mean(dim=1))
            return [*outputs, pooled], self.head(pooled)
        outputs.append(self.norm(outputs[-1]))
        logits = self.head(outputs[-1][:, 0])
        if self.distilled:
            logits = (logits + self.head_dist(outputs[-1][:, 1])) / 2
        return outputs, logits


def spelt(variant: str) -> tuple[str, int, bool, bool]:
    """("base16", registers, average, distilled) of "base16_reg8_gap"; a network with registers has no class token."""
    words = variant.split("_")
    distilled, average = "distilled" in words, "gap" in words
    registers = sum(int(word.removeprefix("reg")) for word in words if word.startswith("reg"))
    return next(word for word in words if word[-2:].isdigit()), registers, average, distilled
