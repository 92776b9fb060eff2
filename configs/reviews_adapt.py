"""Reviews of electronics teach, reviews of videos are judged: what remedies without a label of the target are worth.

python main.py --config configs/reviews_adapt.py --config.data.dir=$DATA/reviews             none, coral, mmd, dann
python main.py --config configs/reviews_adapt.py:kitchen --config.data.dir=$DATA/reviews     another target

The encoder of configs/reviews.py learns as a whole, layers nearer to the input more slowly. Half of the target's
reviews are seen without their labels, by every row alike; the other half is evaluated on. The epoch is chosen on a
validation part of the source; --config.train.select=entropy chooses it by the target's predictions instead. What an
oracle would have chosen by the target's labels stands in transfer.md in rows of its own, called so.
"""

from typing import Any

from configs import reviews


def get_config(target: str = "video") -> Any:
    """From electronics to the domain `target`."""
    config = reviews.to(target)
    config.data.update(fractions=(0.7, 0.1, 0.2), unlabelled=(target,))
    config.strategy.update(name="layer_decay", layer_decay=0.7)
    config.optimizer.update(lr=1e-4, weight_decay=0.01, schedule="cosine", warmup=0.1)
    config.train.update(epochs=4.0, batch_size=32, eval_epochs=0.5, checkpoint_epochs=1.0, oracle=True)
    config.suite.rows.update(
        none=("adaptation.name=",),
        coral=("adaptation.name=coral", "adaptation.weight=1e4"),
        mmd=("adaptation.name=mmd",),
        dann=("adaptation.name=dann", "adaptation.weight=0.1"),  # at 1 it turned the classes round, see the README
    )
    config.suite.seeds = (0, 1, 2)
    return config
