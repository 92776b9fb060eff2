"""Few labelled reviews of one domain: a head, LoRA or SetFit on a sentence encoder, beside a bag of words.

python -m tljax compare --config configs/reviews_few.py --examples 8,64 --config.data.dir=$DATA/reviews
python -m tljax compare --config configs/reviews_few.py:books --examples 8,64 --config.data.dir=$DATA/reviews
python -m bench.bag_of_words $DATA/reviews --examples 8 --few

Reviews are cut to 64 tokens, so that a CPU gets through; 5 % of the domain choose between rates, 5 % test (about 300
reviews: one standard error at 85 % is 2 points). Every row has 60 updates of 16 reviews, and is judged once, at the
end. What has been reached stands in docs/few_labels.md.
"""

from typing import Any

from configs import reviews


def get_config(domain: str = "electronics") -> Any:
    """The rows of one domain, 8 reviews a class."""
    config = reviews.get_config(domain)
    config.data.update(targets=(), lengths=(64,), fractions=(0.9, 0.05, 0.05), examples_per_class=8)
    config.optimizer.update(lr=1e-2, weight_decay=0.01, schedule="cosine", warmup=0.1)
    config.train.update(epochs=1.0, min_steps=60, batch_size=16, checkpoint_epochs=1.0)
    config.suite.rows.update(
        linear_probe=("strategy.name=linear_probe",),
        lora=("strategy.name=lora", "optimizer.lr=3e-3"),
        setfit=("strategy.name=setfit",),
    )
    config.suite.seeds = (0, 1, 2, 3, 4)
    return config
