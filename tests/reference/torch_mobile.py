"""MobileNetV2, MobileNetV3 and EfficientNet in torch, written out for comparison, in torchvision's modules and names.

Sandler et al. 2018, table 2; Howard et al. 2019, tables 1 and 2; Tan and Le 2019, table 1. features.0 is the first
convolution, the last of `features` the 1x1 convolution before the mean; classifier is all behind it.
"""

import math

from torch import Tensor, nn

# Rows of a table. v2: t, c, n, s.
V2 = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
# v3: kernel, exp size, #out, SE, NL, s.
SMALL = """3 16 16 SE RE 2 | 3 72 24 - RE 2, 3 88 24 - RE 1 | 5 96 40 SE HS 2, 5 240 40 SE HS 1, 5 240 40 SE HS 1
| 5 120 48 SE HS 1, 5 144 48 SE HS 1 | 5 288 96 SE HS 2, 5 576 96 SE HS 1, 5 576 96 SE HS 1"""
LARGE = """3 16 16 - RE 1 | 3 64 24 - RE 2, 3 72 24 - RE 1 | 5 72 40 SE RE 2, 5 120 40 SE RE 1, 5 120 40 SE RE 1
| 3 240 80 - HS 2, 3 200 80 - HS 1, 3 184 80 - HS 1, 3 184 80 - HS 1 | 3 480 112 SE HS 1, 3 672 112 SE HS 1
| 5 672 160 SE HS 2, 5 960 160 SE HS 1, 5 960 160 SE HS 1"""
V3 = {"v3_small": (SMALL, 576, 1024), "v3_large": (LARGE, 960, 1280)}
# b0: factor, kernel, stride, channels, layers. Then width, depth and BatchNorm's epsilon of all.
B0 = ((1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3), (6, 5, 2, 192, 4),
      (6, 3, 1, 320, 1))  # fmt: skip
SCALES = {
    "b0": (1.0, 1.0, 1e-5), "b1": (1.0, 1.1, 1e-5), "b2": (1.1, 1.2, 1e-5), "b3": (1.2, 1.4, 1e-5),
    "b4": (1.4, 1.8, 1e-5), "b5": (1.6, 2.2, 1e-3), "b6": (1.8, 2.6, 1e-3), "b7": (2.0, 3.1, 1e-3),
}  # fmt: skip
MOBILENETS = {"v2": 7, "v3_small": 5, "v3_large": 6}  # and how many stages of blocks

# What scripts/make_reference_outputs.py stores: file without .npz -> variant.
STORED = {**{f"mobilenet_{variant}": variant for variant in MOBILENETS}, "efficientnet_b0": "b0"}


def stages(variant: str) -> tuple[str, ...]:
    """The stages that the networks return the outputs of."""
    last = ("top", "fc") if variant in V3 else ("top",)
    return ("stem", *(f"stage{i + 1}" for i in range(MOBILENETS.get(variant, 7))), *last)


def rounded(channels: float) -> int:
    """The authors' rounding to a multiple of 8 that takes off less than a tenth."""
    nearest = max(math.floor(channels / 8 + 0.5), 1) * 8
    return nearest if nearest >= 0.9 * channels else nearest + 8


class HardSigmoid(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x + 3).clamp(0, 6) / 6


class HardSwish(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * (x + 3).clamp(0, 6) / 6


class ConvNorm(nn.Sequential):
    def __init__(self, inner: int, out: int, size: int, stride: int = 1, groups: int = 1, *, eps: float, act=None):
        conv = nn.Conv2d(inner, out, size, stride, padding=(size - 1) // 2, groups=groups, bias=False)
        super().__init__(conv, nn.BatchNorm2d(out, eps=eps), *([act()] if act else []))


class SqueezeExcitation(nn.Module):
    def __init__(self, channels: int, squeezed: int, act, gate):
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(channels, squeezed, 1), nn.Conv2d(squeezed, channels, 1)
        self.act, self.gate = act(), gate()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(self.fc2(self.act(self.fc1(x.mean(dim=(2, 3), keepdim=True)))))


class Block(nn.Module):
    """One inverted residual; `name` is what torchvision calls its layers."""

    def __init__(self, inner: int, wide: int, out: int, size: int, stride: int, squeeze, *, eps: float, act, name: str):
        super().__init__()
        layers: list[nn.Module] = [ConvNorm(inner, wide, 1, eps=eps, act=act)] if wide != inner else []
        layers.append(ConvNorm(wide, wide, size, stride, wide, eps=eps, act=act))
        layers += [squeeze] if squeeze else []
        last = ConvNorm(wide, out, 1, eps=eps)
        layers += list(last) if name == "conv" else [last]
        self.add_module(name, nn.Sequential(*layers))
        self.name, self.same = name, stride == 1 and inner == out

    def forward(self, x: Tensor) -> Tensor:
        y = self.get_submodule(self.name)(x)
        return x + y if self.same else y


def v2() -> tuple[list[list[Block]], int, int]:
    groups, channels = [], 32
    for t, c, n, s in V2:
        group = []
        for i in range(n):
            act = {"act": nn.ReLU6, "name": "conv"}
            group.append(Block(channels, t * channels, c, 3, s if i == 0 else 1, None, eps=1e-5, **act))
            channels = c
        groups.append(group)
    return groups, 32, 1280


def v3(table: str, top: int) -> tuple[list[list[Block]], int, int]:
    groups, channels = [], 16
    for line in table.split("|"):
        group = []
        for row in line.split(","):
            size, wide, out, se, nl, stride = row.split()
            wide, act = int(wide), {"RE": nn.ReLU, "HS": HardSwish}[nl]
            squeeze = SqueezeExcitation(wide, rounded(wide // 4), nn.ReLU, HardSigmoid) if se == "SE" else None
            numbers = (channels, wide, int(out), int(size), int(stride))
            group.append(Block(*numbers, squeeze, eps=1e-3, act=act, name="block"))
            channels = int(out)
        groups.append(group)
    return groups, 16, top


def efficientnet(width: float, depth: float, eps: float) -> tuple[list[list[Block]], int, int]:
    groups, channels = [], rounded(32 * width)
    stem = channels
    for factor, size, stride, base, layers in B0:
        group, out = [], rounded(base * width)
        for i in range(math.ceil(layers * depth)):
            wide = rounded(channels * factor)
            squeeze = SqueezeExcitation(wide, max(channels // 4, 1), nn.SiLU, nn.Sigmoid)
            numbers = (channels, wide, out, size, stride if i == 0 else 1)
            group.append(Block(*numbers, squeeze, eps=eps, act=nn.SiLU, name="block"))
            channels = out
        groups.append(group)
    return groups, stem, 4 * channels


class Net(nn.Module):
    """(B, 3, H, W) -> ([stem, stage1, ..., top, fc?], logits (B, classes)); torchvision counts V2's and V3's blocks
    through all stages, EfficientNet's in each. Stochastic depth is left out: the comparison is in evaluation.
    """

    def __init__(self, variant: str, classes: int = 1000):
        super().__init__()
        self.dense, eps, act = 0, 1e-5, nn.ReLU6
        if variant == "v2":
            groups, stem, top = v2()
        elif variant in V3:
            table, top, self.dense = V3[variant]
            groups, stem, top = v3(table, top)
            eps, act = 1e-3, HardSwish
        else:
            width, depth, eps = SCALES[variant]
            groups, stem, top = efficientnet(width, depth, eps)
            act = nn.SiLU
        self.counts = [len(group) for group in groups] if variant in MOBILENETS else [1] * len(groups)
        blocks = (
            [b for group in groups for b in group] if variant in MOBILENETS else [nn.Sequential(*g) for g in groups]
        )
        channels = list(blocks[-1].parameters())[-1].shape[0]  # of the last BatchNorm's bias
        first = ConvNorm(3, stem, 3, 2, eps=eps, act=act)
        self.features = nn.Sequential(first, *blocks, ConvNorm(channels, top, 1, eps=eps, act=act))
        if self.dense:
            hidden = [nn.Linear(top, self.dense), HardSwish(), nn.Dropout(0.2), nn.Linear(self.dense, classes)]
            self.classifier = nn.Sequential(*hidden)
        else:
            self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(top, classes))

    def forward(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        first, *blocks, last = self.features
        outputs, done = [first(x)], 0
        for count in self.counts:
            x = outputs[-1]
            for block in blocks[done : done + count]:
                x = block(x)
            outputs.append(x)
            done += count
        outputs.append(last(outputs[-1]).mean(dim=(2, 3)))
        if self.dense:
            outputs.append(self.classifier[1](self.classifier[0](outputs[-1])))
        return outputs, self.classifier[-1](outputs[-1])
