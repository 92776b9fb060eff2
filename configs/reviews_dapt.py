"""Before it learns to judge reviews of one domain, an encoder reads those of the other, without their labels.

python main.py --config configs/reviews_dapt.py --config.data.dir=$DATA/reviews

Domain-adaptive pretraining (Gururangan et al. 2020): first masked language modelling on 90 % of the video reviews,
whose labels are not read; then the whole network learns from 80 % of the electronics reviews, as it comes ("plain")
and from there ("adapted"), with every seed. What counts is the part "video", not the source's own test part. It is
transductive: texts of "video", not their labels, are among those read before. Its figures are not measured yet.
Weights as in configs/reviews.py; they have no head over words, so it starts at random, and learns alone (`lp_ft`)
before the encoder moves.
"""

from typing import Any

from configs import reviews

SOURCE, TARGET = "electronics", "video"


def get_config() -> Any:
    config = reviews.get_config(SOURCE)
    config.data.update(targets=(TARGET,), lengths=(64, 128))
    config.strategy.name = "full"
    config.optimizer.update(lr=2e-5, schedule="cosine", warmup=0.1, clip=1.0, weight_decay=0.01)
    config.train.update(epochs=2.0, batch_size=32, checkpoint_epochs=1.0)
    config.suite.first = (
        "task.name=masked_lm", f"data.divide={TARGET}", "data.targets=()", "data.fractions=(0.9, 0.0, 0.1)",
        "strategy.name=lp_ft", "strategy.probe_share=0.2", "strategy.tune_scale=0.1",
        "optimizer.lr=1e-3", "train.epochs=10.0", "train.checkpoint_epochs=5.0",
    )  # fmt: skip
    config.suite.rows.update(plain=(), adapted=("model.weights={suite}/first/model",))
    config.suite.seeds = (0, 1, 2)
    return config
