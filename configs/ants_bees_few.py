r"""A ViT-Tiny that has seen ImageNet, on ants and bees at 64 pixels: what docs/few_labels.md tunes and compares.

python -m tljax compare --config configs/ants_bees_few.py --config.data.dir=$DATA/ants_bees \
  --strategies linear_probe,layer_decay,lora,ssf,surgical,vpt --grid optimizer.lr=1e-4,1e-3,1e-2 --seeds 1

With a network the weights come from the hub; without one add
  --config.model.weights=$WEIGHTS/vit_tiny_patch16_224.safetensors

64 pixels are few for weights that saw 224: a CPU gets through, and figures say nothing of the network at its own size.
A quarter of the training part chooses between settings: 61 pictures with a seed.
"""

from typing import Any

from configs import ants_bees


def get_config() -> Any:
    """A linear probe; `--strategies` names others."""
    config = ants_bees.get_config()
    config.data.update(resize=74, crop=64, size=64, augment=False, validation=0.25)
    config.model.update(family="vit", variant="auto", weights="timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k")
    config.model.card.update(mean=(), std=())
    config.optimizer.update(name="adamw", lr=0.001, schedule="cosine", warmup=0.1)
    del config.optimizer.kwargs.momentum
    config.train.update(epochs=6.0, checkpoint_epochs=100.0, eval_epochs=3.0, log_steps=10)
    config.suite.seeds = (0, 1, 2)
    return config
