"""Faces with sunglasses, with a hat, with neither: a VGG-16 that knows faces (VGG-Faces), and one that knows ImageNet.

python main.py --config configs/accessories.py --config.data.dir=$DATA/accessories --config.model.weights=vgg_faces.pth

The folder is train/<class>/<picture> and test/<class>/<picture>. The weights are those of VGG-Faces (Parkhi et al.
2015) under torchvision's names; the row "imagenet" has those of the hub.

Not run: neither the data nor the weights could be had. The config is tested on a small folder of this layout.
"""

from typing import Any

from configs import default, landscapes

IMAGENET = "model.weights=timm/vgg16.tv_in1k"


def get_config() -> Any:
    config = landscapes.base("accessories", train="train", test="test")
    config.data.update(resize=256, crop=224, size=224)
    config.model.update(family="vgg", variant="16", weights="vgg_faces.pth")
    # VGG-Faces was trained in Caffe: BGR, 0 to 255, means of its own faces.
    faces = default.get_config().model.card
    faces.update(mean=(93.594, 104.762, 129.186), std=(1.0, 1.0, 1.0), scale=1.0, channel_order="BGR")
    config.model.card = faces
    imagenet = (
        IMAGENET, "model.card.mean=(0.485, 0.456, 0.406)", "model.card.std=(0.229, 0.224, 0.225)",
        "model.card.scale=255.0", "model.card.channel_order=RGB",
    )  # fmt: skip
    rows = config.suite.rows
    rows["imagenet_probe"] = (*imagenet, "strategy.name=linear_probe")
    rows["imagenet_fine_tune"] = (*imagenet, "strategy.name=full")
    return config
