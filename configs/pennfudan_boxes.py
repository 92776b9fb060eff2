"""Pedestrians in 170 street photographs: a box around each, by FCOS on a ResNet-18 or ViT-Tiny of ImageNet.

python main.py --config configs/pennfudan_boxes.py --config.data.dir=$DATA/pennfudan
python main.py --config configs/pennfudan_boxes.py:all --config.data.dir=$DATA/pennfudan   the table: 6 strategies x 20,
  50, 120 pictures; with :vit that of a ViT-Tiny

Weights come from the hub; without a network add
  --config.model.weights=$WEIGHTS/resnet18_imagenet.safetensors   (or vit_tiny_patch16_224.safetensors)

Boxes come from the masks of instances. Pictures are small, 256 pixels, so that the head is smaller than the paper's
(256 channels, 4 convolutions, 2 more levels). Figures: docs/pedestrians.md.
"""

from typing import Any

from configs import default, pennfudan


def get_config(rows: str = "one") -> Any:
    """120 pictures to learn from, 20 to choose the epoch by, 30 to test on; "all", "vit": as configs/pennfudan.py."""
    config = default.get_config()
    config.data.update(source="instance_masks", dir="pennfudan", object="pedestrian", fractions=pennfudan.SHARES)
    config.data.update(shape=(256, 256), flip=True, min_area=0.25)
    config.task.name = "detection"
    config.task.update(width=128, depth=2, extra_levels=1)
    config.optimizer.update(name="adamw", lr=1e-3, weight_decay=0.01, schedule="cosine", warmup=0.1, clip=10.0)
    config.train.update(epochs=30.0, batch_size=8, eval_batch_size=10, eval_epochs=5.0, checkpoint_epochs=10.0)
    config.train.log_steps = 5
    return pennfudan.on_network(config, rows)
