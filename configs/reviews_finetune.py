"""Reviews of electronics teach, reviews of videos are judged too: how much of the encoder is to move?

python main.py --config configs/reviews_finetune.py --config.data.dir=$DATA/reviews             probe, full, ...
python main.py --config configs/reviews_finetune.py:kitchen --config.data.dir=$DATA/reviews     another target

With a seed, every row learns from the same 2,000 reviews, cut to 128 tokens, the encoder moving in one pass over them,
and is tested on 20 % of its own domain and on all of the target; repeated reviews are left out. The rates are those of
`full` on a validation part of electronics and guesses from it. What has been reached stands in docs/results.md.
"""

from typing import Any

from configs import reviews


def get_config(target: str = "video") -> Any:
    """From electronics to the domain `target`."""
    config = reviews.to(target)
    config.data.update(lengths=(64, 128), examples_per_class=1000)
    config.optimizer.update(weight_decay=0.01, schedule="cosine", warmup=0.1)
    config.train.update(epochs=1.0, batch_size=32, checkpoint_epochs=0.5)
    probe = ("strategy.name=linear_probe", "optimizer.lr=1e-2", "optimizer.schedule=constant", "optimizer.warmup=0.0")
    config.suite.rows.update(
        linear_probe=(*probe, "train.epochs=30.0", "train.checkpoint_epochs=30.0", "train.batch_size=64"),
        full=("strategy.name=full", "optimizer.lr=3e-4"),
        layer_decay=("strategy.name=layer_decay", "strategy.layer_decay=0.7", "optimizer.lr=5e-4"),
        lora=("strategy.name=lora", "optimizer.lr=3e-3"),
    )
    config.suite.seeds = (0, 1, 2)
    return config
