"""ConvNeXt in torch, written out for comparison: Liu et al. 2022, in torchvision's modules and names.

The names of tensors: features.0 is the stem, odd ones are stages, even ones the downsampling between them;
classifier.0 is the last LayerNorm, classifier.2 the dense layer.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

STAGES = ("stem", "stage1", "stage2", "stage3", "stage4", "norm")
BLOCKS = {"tiny": (3, 3, 9, 3), "small": (3, 3, 27, 3), "base": (3, 3, 27, 3)}
WIDTHS = {"tiny": (96, 192, 384, 768), "small": (96, 192, 384, 768), "base": (128, 256, 512, 1024)}


class LayerNorm2d(nn.LayerNorm):
    """LayerNorm over the channels of (B, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)
        x = functional.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


class Permute(nn.Module):
    def __init__(self, *axes: int):
        super().__init__()
        self.axes = axes

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(self.axes)


class Block(nn.Module):
    """Stochastic depth is left out: the comparison is in evaluation, where it does nothing."""

    def __init__(self, width: int):
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(width, width, kernel_size=7, padding=3, groups=width),
            Permute(0, 2, 3, 1),
            nn.LayerNorm(width, eps=1e-6),
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Linear(4 * width, width),
            Permute(0, 3, 1, 2),
        )
        self.layer_scale = nn.Parameter(torch.full((width, 1, 1), 1e-6))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layer_scale * self.block(x)


class ConvNeXt(nn.Module):
    """(B, 3, H, W) -> ([stem, stage1, ..., stage4, norm], logits (B, classes)).

    `narrow` divides all channels, for a small network of the same structure.
    """

    def __init__(self, variant: str, classes: int = 1000, narrow: int = 1):
        super().__init__()
        widths = [width // narrow for width in WIDTHS[variant]]
        stem = nn.Sequential(nn.Conv2d(3, widths[0], kernel_size=4, stride=4), LayerNorm2d(widths[0], eps=1e-6))
        self.features = nn.Sequential(stem)
        for i, (blocks, width) in enumerate(zip(BLOCKS[variant], widths, strict=True)):
            if i > 0:
                norm = LayerNorm2d(widths[i - 1], eps=1e-6)
                self.features.append(nn.Sequential(norm, nn.Conv2d(widths[i - 1], width, kernel_size=2, stride=2)))
            self.features.append(nn.Sequential(*(Block(width) for _ in range(blocks))))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        last = widths[-1]
        self.classifier = nn.Sequential(LayerNorm2d(last, eps=1e-6), nn.Flatten(1), nn.Linear(last, classes))

    def forward(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        outputs = []
        for i, part in enumerate(self.features):
            x = part(x)
            if i == 0 or i % 2 == 1:
                outputs.append(x)
        normed = self.classifier[1](self.classifier[0](self.avgpool(x)))
        return [*outputs, normed], self.classifier[2](normed)
