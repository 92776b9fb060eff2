"""A network that knows the digits 0-4 learns 5-9 from 10 examples of each: four ways, 5 seeds.

python main.py --config configs/digits.py

Reached on 2 CPU cores, 448 test digits, mean and spread of 5 seeds: scratch 91.7 (2.8), linear probe 83.7 (2.7),
fine-tuned 92.7 (3.0), low and high rates 89.2 (2.3).
"""

from typing import Any

from configs import default

SOURCE, TARGET = ("0", "1", "2", "3", "4"), ("5", "6", "7", "8", "9")


def get_config() -> Any:
    config = default.get_config()
    config.data.update(source="digits", channels=1, size=8, fractions=(0.5, 0.0, 0.5))
    config.data.update(classes=TARGET, examples_per_class=10)
    config.model.update(family="lenet", variant="small")
    config.model.card.update(mean=(0.3,), std=(0.38,))  # of the digits, grey levels 0..1
    config.groups.update(features="conv1..fc1", head="head")
    config.optimizer.update(name="sgd", lr=0.02)
    config.optimizer.kwargs.momentum = 0.9
    config.train.update(epochs=100.0, batch_size=40, checkpoint_epochs=100.0, log_steps=10)
    config.strategy.scales.update(features=0.1, head=1.0)
    config.suite.first = (
        f"data.classes={SOURCE}", "data.examples_per_class=0", "strategy.name=scratch",
        "train.epochs=50.0", "train.checkpoint_epochs=50.0",
    )  # fmt: skip
    weights = "model.weights={suite}/first/model"
    config.suite.rows.update(
        scratch=("strategy.name=scratch",),
        linear_probe=("strategy.name=linear_probe", weights),
        fine_tune=("strategy.name=full", weights),
        low_and_high=("strategy.name=groups", weights),
    )
    config.suite.seeds = (0, 1, 2, 3, 4)
    return config
