"""Pedestrians in street photographs, pixel by pixel: 170 pictures, a U-Net on a ResNet-18 that has seen ImageNet.

python main.py --config configs/pennfudan.py --config.data.dir=$DATA/pennfudan       layer_decay, 120 pictures
python main.py --config configs/pennfudan.py:all --config.data.dir=$DATA/pennfudan   6 strategies x 20, 50, 120 pictures

Weights come from the hub; without a network add
  --config.model.weights=$WEIGHTS/resnet18_imagenet.safetensors

A smaller or larger input: --config.data.shape="(128,128)". The mIoU is the mean of ground and pedestrian.
"""

from typing import Any

from configs import default

STRATEGIES = ("linear_probe", "last_k", "layer_decay", "full", "lora", "scratch")
PICTURES = (20, 50, 120)  # to learn from
RATES = {"full": 3e-4}  # of Adam, for a pretrained backbone whose layers all learn alike; others have 1e-3


def get_config(rows: str = "one") -> Any:
    """One run, or "all": every strategy with every number of training pictures, 3 seeds."""
    if rows not in ("one", "all"):
        raise ValueError(f"the rows must be one or all; got '{rows}'")
    config = default.get_config()
    config.data.update(source="image_masks", dir="pennfudan", object="pedestrian", mask_values="instances")
    # 120 to learn from, 25 to choose the epoch, 25 to test on.
    config.data.update(fractions=(0.706, 0.147, 0.147), shape=(256, 256), flip=True, min_area=0.25)
    config.model.update(family="resnet", variant="18", weights="timm/resnet18.tv_in1k")
    config.model.card.update(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    config.task.update(name="segmentation", head="unet")
    config.strategy.name = "layer_decay"
    config.optimizer.update(name="adamw", lr=1e-3, weight_decay=0.01, schedule="cosine", warmup=0.1, clip=1.0)
    config.train.update(epochs=40.0, min_steps=300, batch_size=8, eval_batch_size=16, checkpoint_epochs=10.0)
    config.train.log_steps = 10
    if rows == "all":
        config.suite.seeds = (0, 1, 2)
        for pictures in PICTURES:
            for name in STRATEGIES:
                rate = RATES.get(name, 1e-3)
                config.suite.rows[f"{name}_{pictures}"] = (
                    f"strategy.name={name}", f"data.train_examples={pictures}", f"optimizer.lr={rate}",
                )  # fmt: skip
    return config
