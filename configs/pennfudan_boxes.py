"""Pedestrians in 170 street photographs: a box around each, by FCOS on a ResNet-18 that has seen ImageNet.

python main.py --config configs/pennfudan_boxes.py --config.data.dir=$DATA/pennfudan

Weights come from the hub; without a network add
  --config.model.weights=$WEIGHTS/resnet18_imagenet.safetensors

Boxes come from the masks of instances. Pictures are small, 192 pixels, so that the head is smaller than the paper's
(256 channels, 4 convolutions, 2 more levels).
"""

from typing import Any

from configs import default


def get_config() -> Any:
    """120 pictures to learn from, 20 to choose the epoch by, 30 to test on."""
    config = default.get_config()
    config.data.update(source="instance_masks", dir="pennfudan", object="pedestrian", fractions=(0.7, 0.12, 0.18))
    config.data.update(resize=208, crop=192, size=192, flip=True)
    config.model.update(family="resnet", variant="18", weights="timm/resnet18.tv_in1k")
    config.model.card.update(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    config.task.name = "detection"
    config.task.update(width=128, depth=2, extra_levels=1)
    config.strategy.name = "layer_decay"
    config.optimizer.update(name="adamw", lr=1e-3, weight_decay=0.01, schedule="cosine", warmup=0.1, clip=10.0)
    config.train.update(epochs=30.0, batch_size=8, eval_batch_size=10, eval_epochs=5.0, checkpoint_epochs=10.0)
    config.train.log_steps = 5
    return config
