"""How transferable is each layer? Yosinski et al. 2014 on handwritten digits: half of the classes against the other.

python main.py --config configs/transferability_digits.py
python -m tljax layers runs/transferability_digits

Every seed draws another split of the ten digits into halves A and B, and trains a base network on each. Then
for every n, the first n stages are copied into a network that is trained on B, the rest drawn anew (from other random
values than those that the bases began with, or B would be handed its own beginning):

  bnb_n        from B, copied stages frozen      bnb_plus_n   from B, everything learns
  anb_n        from A, copied stages frozen      anb_plus_n   from A, everything learns
  random_n     nothing copied, first n stages frozen as drawn
"""

from typing import Any

from configs import default

STAGES = 3


def get_config() -> Any:
    config = default.get_config()
    config.data.update(source="digits", channels=1, size=8, fractions=(0.5, 0.0, 0.5), examples_per_class=20)
    config.model.update(family="lenet", variant="small")
    config.model.card.update(mean=(0.3,), std=(0.38,))  # of the digits, grey levels 0..1
    config.optimizer.update(name="sgd", lr=0.02)
    config.optimizer.kwargs.momentum = 0.9
    config.train.update(epochs=100.0, batch_size=20, checkpoint_epochs=100.0, log_steps=100)
    config.suite.rows.update(rows(STAGES))
    config.suite.seeds = tuple(range(10))
    return config


def rows(stages: int) -> dict[str, tuple[str, ...]]:
    """The rows of a suite over a network of so many stages before the head, one group each."""
    table: dict[str, tuple[str, ...]] = {
        f"base_{half}": ("strategy.name=scratch", f"data.half={half}") for half in "ab"
    }
    for n in range(1, stages + 1):
        frozen = ("strategy.name=last_k", f"strategy.last_k={stages - n}")
        for source in "ba":
            copied = _from(f"base_{source}", n)
            table[f"{source}nb_{n}"] = (*copied, *frozen)
            table[f"{source}nb_plus_{n}"] = (*copied, "strategy.name=full")
        table[f"random_{n}"] = (*_from("base_b", 0), *frozen)
    return table


def _from(base: str, stages: int) -> tuple[str, ...]:
    weights = f"model.weights={{suite}}/{base}/seed{{seed}}/model"
    return "data.half=b", weights, f"model.copied_stages={stages}", "model.draw=1"
