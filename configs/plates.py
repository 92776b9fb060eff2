"""Digits 0-4 are known; what is that worth for number plates, for other digits, and for letters? The three targets.

python main.py --config configs/plates.py:digits --config.data.dir=plates    0-4 on plates, no label of a plate
python main.py --config configs/plates.py:others --config.data.dir=plates    5-9, 10 labels a class
python main.py --config configs/plates.py:letters --config.data.dir=plates   letters of plates, 5 labels a class

The folder `plates` joins MNIST's digits and characters of number plates, as <domain>/<class>/<picture>:
  mkdir -p plates/low
  ln -s $DATA/mnist_6000/train plates/mnist; ln -s $DATA/mnist_6000/test plates/mnist_test
  ln -s $DATA/plate_characters plates/characters
  for d in 0 1 2 3 4; do ln -s $DATA/plate_characters/$d plates/low/; done

A LeNet learns 0-4 from MNIST first, once for all rows. Pictures are grey, 28 pixels. 5 seeds draw the examples to learn
from, their order and new layers; `digits` learns from source and unlabelled plates together, and is tested on the same
plates (55 pictures). `others` is tested on MNIST's test part, `letters` on the other characters (130).
What was reached: docs/slides.md.
"""

from typing import Any

from configs import default

LOW, HIGH, LETTERS = tuple("01234"), tuple("56789"), tuple("ABCDEFGHJKLMNPQRSTUVWXYZ")
WEIGHTS = "model.weights={suite}/first/model"
ROWS = {
    "scratch": ("strategy.name=scratch",),
    "linear_probe": ("strategy.name=linear_probe", WEIGHTS),
    "last_stage": ("strategy.name=last_k", WEIGHTS),
    "fine_tune": ("strategy.name=full", WEIGHTS),
    "fine_tune_slow": ("strategy.name=layer_decay", "strategy.layer_decay=0.3", WEIGHTS),
}
ADAPTED = {
    "none": ("adaptation.name=",),
    "coral": ("adaptation.name=coral", "adaptation.weight=10"),
    "mmd": ("adaptation.name=mmd",),
    "dann": ("adaptation.name=dann", "adaptation.weight=0.3"),
    "mcc": ("adaptation.name=mcc",),
}


def get_config(target: str = "letters") -> Any:
    """The suite of one of the three targets."""
    if target not in ("digits", "others", "letters"):
        raise ValueError(f"the target must be digits, others or letters; got '{target}'")
    config = default.get_config()
    config.data.update(source="image_folder", dir="plates", channels=1, resize=28, size=28, augment=False)
    config.data.splits.update(train="mnist", test="mnist_test")
    config.model.update(family="lenet", variant="medium")
    config.model.card.update(mean=(0.5,), std=(0.5,))
    config.optimizer.update(name="adam", lr=1e-3)
    config.train.update(epochs=100.0, min_steps=300, batch_size=32, checkpoint_epochs=100.0, log_steps=20)
    config.suite.seeds = (0, 1, 2, 3, 4)
    if target == "digits":
        return _adapted(config)
    known = f"data.classes={LOW}", "strategy.name=scratch", "train.epochs=5.0", "train.checkpoint_epochs=5.0"
    config.suite.first = (*known, "data.examples_per_class=0", "data.fractions=()")
    if target == "others":
        config.data.update(classes=HIGH, examples_per_class=10)
    else:
        config.data.update(classes=LETTERS, examples_per_class=5, divide=("characters",), fractions=(0.5, 0.0, 0.5))
        config.suite.first += ("data.divide=()",)
    config.suite.rows.update(ROWS)
    return config


def _adapted(config: Any) -> Any:
    """From MNIST to the plates' pictures of the same digits, whose labels only judge."""
    config.data.update(classes=LOW, targets=("low",), unlabelled=("low",), unlabelled_share=1.0, validation=0.1)
    config.train.update(epochs=10.0, eval_epochs=1.0, checkpoint_epochs=10.0, oracle=True)
    config.strategy.name = "scratch"
    for name, changes in ADAPTED.items():
        config.suite.rows[name] = changes
        config.suite.rows[f"{name}_by_entropy"] = (*changes, "train.select=entropy")
    return config
