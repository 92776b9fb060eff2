"""VGG in torch, written out for comparison: Simonyan and Zisserman 2014, table 1, columns A, B, D and E.

The names of tensors are torchvision's: layers counted through in `features`, then classifier.0, .3 and .6.
"""

from torch import Tensor, nn

# Channels of every 3x3 convolution, blocks apart by a max-pool "M".
LAYERS = {
    "11": "64 M 128 M 256 256 M 512 512 M 512 512 M",
    "13": "64 64 M 128 128 M 256 256 M 512 512 M 512 512 M",
    "16": "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M",
    "19": "64 64 M 128 128 M 256 256 256 256 M 512 512 512 512 M 512 512 512 512 M",
}
STAGES = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7")
VARIANTS = tuple(f"{depth}{suffix}" for depth in LAYERS for suffix in ("", "_bn"))


class VGG(nn.Module):
    """(B, 3, H, W) -> ([conv1, ..., conv5, fc6, fc7], logits (B, classes)).

    `narrow` divides all channels and units, for a small network of the same structure.
    """

    def __init__(self, variant: str, classes: int = 1000, narrow: int = 1):
        super().__init__()
        depth, _, batch_norm = variant.partition("_")
        self.features, channels = nn.Sequential(), 3
        for word in LAYERS[depth].split():
            if word == "M":
                self.features.append(nn.MaxPool2d(kernel_size=2, stride=2))
                continue
            width = int(word) // narrow
            self.features.append(nn.Conv2d(channels, width, kernel_size=3, padding=1))
            if batch_norm:
                self.features.append(nn.BatchNorm2d(width))
            self.features.append(nn.ReLU())
            channels = width
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        units = 4096 // narrow
        self.classifier = nn.Sequential(
            nn.Linear(channels * 7 * 7, units), nn.ReLU(), nn.Dropout(0.5),
            nn.Linear(units, units), nn.ReLU(), nn.Dropout(0.5),
            nn.Linear(units, classes),
        )  # fmt: skip

    def forward(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        outputs = []
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.MaxPool2d):
                outputs.append(x)
        x = self.avgpool(x).flatten(1)
        for i, layer in enumerate(self.classifier):
            x = layer(x)
            if i in (2, 5):
                outputs.append(x)
        return outputs, x
