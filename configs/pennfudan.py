"""Pedestrians in street photographs, pixel by pixel: 170 pictures, a U-Net on a ResNet-18 or ViT-Tiny of ImageNet.

python main.py --config configs/pennfudan.py --config.data.dir=$DATA/pennfudan        layer_decay, 120 pictures
python main.py --config configs/pennfudan.py:all --config.data.dir=$DATA/pennfudan    strategies x 20, 50, 120 pictures
python main.py --config configs/pennfudan.py:vit --config.data.dir=$DATA/pennfudan    the same of a ViT-Tiny

Weights come from the hub; without a network add
  --config.model.weights=$WEIGHTS/resnet18_imagenet.safetensors   (or vit_tiny_patch16_224.safetensors)

A smaller or larger input: --config.data.shape="(128,128)". The mIoU is the mean of ground and pedestrian.
Figures: docs/pedestrians.md. The boxes of the same pictures: configs/pennfudan_boxes.py.
"""

from typing import Any

from configs import default

STRATEGIES = ("linear_probe", "last_k", "layer_decay", "full", "lora", "scratch")
PICTURES = (20, 50, 120)  # to learn from
RATES = {"full": 3e-4}  # of Adam, for a pretrained backbone whose layers all learn alike; others have 1e-3
SHARES = (0.706, 0.118, 0.176)  # 120 pictures to learn from, 20 to choose the epoch, 30 to test on
# Updates of the tables, with batches of 4 and as many for every number of pictures; rows from random weights get three
# times as many.
STEPS, SCRATCH = 160, 480


def get_config(rows: str = "one") -> Any:
    """One run, or "all" or "vit": every strategy with every number of training pictures, 3 seeds."""
    config = default.get_config()
    config.data.update(source="image_masks", dir="pennfudan", object="pedestrian", mask_values="instances")
    config.data.update(fractions=SHARES, shape=(256, 256), flip=True, min_area=0.25)
    config.task.update(name="segmentation", head="unet")
    config.optimizer.update(name="adamw", lr=1e-3, weight_decay=0.01, schedule="cosine", warmup=0.1, clip=1.0)
    config.train.update(epochs=40.0, min_steps=300, batch_size=8, eval_batch_size=10, checkpoint_epochs=10.0)
    config.train.log_steps = 10
    return on_network(config, rows)


def on_network(config: Any, rows: str) -> Any:
    """The config with a network, and the rows of its table; other configs of these pictures use it too."""
    if rows not in ("one", "all", "vit"):
        raise ValueError(f"the rows must be one, all or vit; got '{rows}'")
    if rows == "vit":
        config.model.update(family="vit", variant="tiny16", weights="timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k")
        config.model.card.update(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), interpolation="bicubic")
    else:
        config.model.update(family="resnet", variant="18", weights="timm/resnet18.tv_in1k")
        config.model.card.update(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    config.strategy.name = "layer_decay"
    if rows != "one":
        _table(config)
    return config


def _table(config: Any) -> None:
    """Every strategy with every number of pictures: many runs, so short ones, and no page for each."""
    config.train.update(epochs=5.0, min_steps=STEPS, batch_size=4, eval_epochs=1.0)  # 5 evaluations
    config.data.cached_views = 4  # of stages that stay frozen
    config.report, config.writers, config.suite.seeds = "none", (), (0, 1, 2)
    for pictures in PICTURES:
        for name in STRATEGIES:
            config.suite.rows[f"{name}_{pictures}"] = (
                f"strategy.name={name}", f"data.train_examples={pictures}", f"optimizer.lr={RATES.get(name, 1e-3)}",
                f"train.min_steps={SCRATCH if name == 'scratch' else STEPS}",
            )  # fmt: skip
