"""ResNet v1.5 in torch, written out for comparison: He et al. 2015, with the stride of a bottleneck in its 3x3.

Wide: Zagoruyko and Komodakis 2016. ResNeXt: Xie et al. 2017, table 1, where 32x4d is 32 groups of 4 channels
in the first stage. The names of tensors are the published ones: conv1, bn1, layer1.0.conv1, layer2.0.downsample.0, fc.
"""

from torch import Tensor, nn

BLOCKS = {
    "18": (2, 2, 2, 2),
    "34": (3, 4, 6, 3),
    "50": (3, 4, 6, 3),
    "101": (3, 4, 23, 3),
    "152": (3, 8, 36, 3),
    "wide50_2": (3, 4, 6, 3),
    "resnext50_32x4d": (3, 4, 6, 3),
}
# Groups of a bottleneck's 3x3 convolution, and channels of each of them in the first stage.
GROUPS = {"wide50_2": (1, 128), "resnext50_32x4d": (32, 4)}


class Residual(nn.Module):
    """Two 3x3 convolutions, or 1x1 -> 3x3 -> 1x1 with four times the channels at the end, plus the shortcut."""

    def __init__(self, channels: int, width: int, stride: int, *, bottleneck: bool, split: tuple[int, int] = (1, 64)):
        super().__init__()
        groups, per_group = split
        middle = groups * per_group * width // 64
        sizes = (1, 3, 1) if bottleneck else (3, 3)
        strides = (1, stride, 1) if bottleneck else (stride, 1)
        widths = (middle, middle, 4 * width) if bottleneck else (width, width)
        self.depth = len(sizes)
        self.relu = nn.ReLU()  # a module, so that a hook sees what goes into it
        inner = channels
        for i, (out, size, step) in enumerate(zip(widths, sizes, strides, strict=True), start=1):
            parts = groups if size == 3 else 1
            conv = nn.Conv2d(inner, out, size, step, padding=(size - 1) // 2, groups=parts, bias=False)
            self.add_module(f"conv{i}", conv)
            self.add_module(f"bn{i}", nn.BatchNorm2d(out))
            inner = out
        self.downsample = None
        if stride != 1 or channels != inner:
            self.downsample = nn.Sequential(nn.Conv2d(channels, inner, 1, stride, bias=False), nn.BatchNorm2d(inner))

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for i in range(1, self.depth + 1):
            y = self.get_submodule(f"bn{i}")(self.get_submodule(f"conv{i}")(y))
            if i < self.depth:
                y = self.relu(y)
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.relu(y + shortcut)


class ResNet(nn.Module):
    """(B, 3, H, W) -> ([stem, layer1, layer2, layer3, layer4], logits (B, classes))."""

    def __init__(self, variant: str, classes: int = 1000):
        super().__init__()
        bottleneck, split = variant not in ("18", "34"), GROUPS.get(variant, (1, 64))
        self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        channels = 64
        for s, count in enumerate(BLOCKS[variant], start=1):
            width, blocks = 64 * 2 ** (s - 1), []
            for b in range(count):
                stride = 2 if s > 1 and b == 0 else 1
                blocks.append(Residual(channels, width, stride, bottleneck=bottleneck, split=split))
                channels = 4 * width if bottleneck else width
            self.add_module(f"layer{s}", nn.Sequential(*blocks))
        self.fc = nn.Linear(channels, classes)

    def stage(self, x: Tensor, index: int) -> Tensor:
        """The output of the stem (0) or of `layer{index}` on the output of the one before."""
        if index == 0:
            return self.pool(self.relu(self.bn1(self.conv1(x))))
        return self.get_submodule(f"layer{index}")(x)

    def forward(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        outputs = []
        for index in range(5):
            x = self.stage(x, index)
            outputs.append(x)
        return outputs, self.fc(x.mean(dim=(2, 3)))
