"""Intel's landscapes: buildings, forest, glacier, mountain, sea, street; 14,000 pictures to learn from.

python main.py --config configs/landscapes.py --config.data.dir=$DATA/landscapes

The folder is seg_train/<class>/<picture> and seg_test/<class>/<picture>; the published archive has each of the two
folders twice, one in the other: move the inner one up. Weights come from the hub.

Rows as the slides teach them: from scratch, features with a classic classifier, a new head, the last stage, all layers.
Not run: the data could not be had. The config is tested on a small folder of this layout.
"""

from typing import Any

from ml_collections import ConfigDict

from configs import default

ROWS = {
    "scratch": ("strategy.name=scratch", "optimizer.lr=0.05"),
    "logistic": ("strategy.name=classic", "data.augment=False"),
    "linear_probe": ("strategy.name=linear_probe",),
    "last_stage": ("strategy.name=last_k",),
    "fine_tune": ("strategy.name=full",),
}


def get_config() -> Any:
    return base("landscapes", train="seg_train", test="seg_test")


def base(folder: str, *, train: str, test: str) -> Any:
    """What suites on a folder of two splits share."""
    config = default.get_config()
    config.data.update(source="image_folder", dir=folder, resize=160, crop=144, size=144, flip=True, validation=0.1)
    config.data.splits.update(train=train, test=test)
    config.model.update(family="resnet", variant="18", weights="timm/resnet18.tv_in1k")
    config.model.card.update(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    config.optimizer.update(name="sgd", lr=0.01, weight_decay=5e-4, schedule="cosine", warmup=0.05)
    config.optimizer.kwargs.momentum = 0.9
    config.train.update(epochs=10.0, batch_size=64, checkpoint_epochs=1.0)
    config.suite.rows = ConfigDict(ROWS, sort_keys=False)
    config.suite.seeds = (0, 1, 2)
    return config
