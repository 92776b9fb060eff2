"""BiT in torch, written out for comparison: Kolesnikov et al. 2020, section 2, and the code they published.

The parameters are those of the published npz, names and layouts: kernels (H, W, in, out), GroupNorm's gamma
and beta, a head of 1x1. Their list is the network; what is computed with them stands in `forward`.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

STAGES = ("stem", "stage1", "stage2", "stage3", "stage4", "norm")
# Units of every block, and the factor of all channels.
SIZES = {
    "R50x1": ((3, 4, 6, 3), 1),
    "R101x1": ((3, 4, 23, 3), 1),
    "R50x3": ((3, 4, 6, 3), 3),
    "R101x3": ((3, 4, 23, 3), 3),
    "R152x2": ((3, 8, 36, 3), 2),
    "R152x4": ((3, 8, 36, 3), 4),
}


def published(units: tuple[int, ...], width: int, classes: int) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor by its name; `width` is the root's."""
    shapes = {"resnet/root_block/standardized_conv2d/kernel": (7, 7, 3, width)}
    channels = width
    for b, count in enumerate(units, start=1):
        middle = width * 2 ** (b - 1)
        for u in range(1, count + 1):
            unit = f"resnet/block{b}/unit{u:02d}"
            sizes = {"a": (1, channels, middle), "b": (3, middle, middle), "c": (1, middle, 4 * middle)}
            for letter, (size, before, after) in sizes.items():
                shapes[f"{unit}/{letter}/group_norm/gamma"] = shapes[f"{unit}/{letter}/group_norm/beta"] = (before,)
                shapes[f"{unit}/{letter}/standardized_conv2d/kernel"] = (size, size, before, after)
            if u == 1:
                shapes[f"{unit}/a/proj/standardized_conv2d/kernel"] = (1, 1, channels, 4 * middle)
            channels = 4 * middle
    shapes["resnet/group_norm/gamma"] = shapes["resnet/group_norm/beta"] = (channels,)
    return shapes | {"resnet/head/conv2d/kernel": (1, 1, channels, classes), "resnet/head/conv2d/bias": (classes,)}


class BiT(nn.Module):
    """(B, 3, H, W) -> ([stem, stage1, ..., stage4, norm], logits (B, classes)).

    `narrow` divides all channels, `units` stands in for the variant's: for a small network of the same structure.
    """

    def __init__(self, variant: str, classes: int = 1000, narrow: int = 1, units: tuple[int, ...] = ()):
        super().__init__()
        published_units, factor = SIZES[variant]
        self.units = units or published_units
        for name, shape in published(self.units, 64 * factor // narrow, classes).items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape)))

    def conv(self, x: Tensor, scope: str, stride: int = 1) -> Tensor:
        weight = getattr(self, f"{scope}/standardized_conv2d/kernel").permute(3, 2, 0, 1)  # HWIO -> OIHW
        var, mean = torch.var_mean(weight, dim=(1, 2, 3), keepdim=True, correction=0)
        weight = (weight - mean) / torch.sqrt(var + 1e-10)
        return functional.conv2d(x, weight, stride=stride, padding=(weight.shape[-1] - 1) // 2)

    def norm_relu(self, x: Tensor, scope: str) -> Tensor:
        gamma, beta = (getattr(self, f"{scope}/group_norm/{name}") for name in ("gamma", "beta"))
        return functional.relu(functional.group_norm(x, 32, gamma, beta, eps=1e-5))

    def unit(self, x: Tensor, scope: str, stride: int) -> Tensor:
        y = self.norm_relu(x, f"{scope}/a")
        if hasattr(self, f"{scope}/a/proj/standardized_conv2d/kernel"):
            x = self.conv(y, f"{scope}/a/proj", stride)
        y = self.conv(y, f"{scope}/a")
        y = self.conv(self.norm_relu(y, f"{scope}/b"), f"{scope}/b", stride)
        return x + self.conv(self.norm_relu(y, f"{scope}/c"), f"{scope}/c")

    def forward(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        x = self.conv(x, "resnet/root_block", 2)
        x = functional.max_pool2d(functional.pad(x, (1, 1, 1, 1)), kernel_size=3, stride=2)
        outputs = [x]
        for b, count in enumerate(self.units, start=1):
            for u in range(1, count + 1):
                x = self.unit(x, f"resnet/block{b}/unit{u:02d}", 2 if u == 1 and b > 1 else 1)
            outputs.append(x)
        x = self.norm_relu(x, "resnet")
        head = getattr(self, "resnet/head/conv2d/kernel").permute(3, 2, 0, 1)
        logits = functional.conv2d(x.mean(dim=(2, 3), keepdim=True), head, getattr(self, "resnet/head/conv2d/bias"))
        return [*outputs, x], logits.flatten(1)
