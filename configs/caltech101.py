"""Caltech-101 with hardly any labels: 1 % to learn from, 1 % to choose by, 98 % to test on; 5 splits.

python main.py --config configs/caltech101.py --config.data.dir=$DATA/caltech101

The folder is <class>/<picture>: the 101 classes and BACKGROUND_Google. Weights come from the hub; without a network add
  --config.model.weights=$WEIGHTS/resnet18_imagenet.safetensors

Another split with every seed. 1 % of most classes is less than a picture, and each class has one to learn from: 132 of
the 9,145 pictures teach (1.4 %), 54 choose the epoch, and 8,958 are tested on.
96 pixels, ResNet-18, no augmentation. The slide: a base of 19.78 becomes 38.2. What was reached: docs/slides.md.
"""

from typing import Any

from ml_collections import ConfigDict

from configs import default

ROWS = {
    "scratch": ("strategy.name=scratch", "optimizer.lr=0.01"),
    "fine_tune": ("strategy.name=full", "optimizer.lr=0.003"),
    "layer_decay": ("strategy.name=layer_decay",),
    "linear_probe": ("strategy.name=linear_probe",),
    "logistic": ("strategy.name=classic",),  # features, then a classic classifier
}


def get_config() -> Any:
    config = default.get_config()
    config.data.update(source="image_folder", dir="caltech101", resize=96, size=96, augment=False)
    config.data.fractions = (0.01, 0.01, 0.98)
    config.model.update(family="resnet", variant="18", weights="timm/resnet18.tv_in1k")
    config.model.card.update(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    config.optimizer.update(name="sgd", lr=0.01)
    config.optimizer.kwargs.momentum = 0.9
    config.strategy.name = "linear_probe"
    config.train.update(epochs=30.0, batch_size=16, eval_epochs=3.0, checkpoint_epochs=10.0, log_steps=5)
    config.suite.rows = ConfigDict(ROWS, sort_keys=False)
    config.suite.seeds = (0, 1, 2, 3, 4)
    return config
