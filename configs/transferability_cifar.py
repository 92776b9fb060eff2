"""How transferable is each layer? Yosinski et al. 2014, a ResNet-18 on CIFAR-10, half of its classes against the other.

python main.py --config configs/transferability_cifar.py             random halves, one split a seed
python main.py --config configs/transferability_cifar.py:man_made    from the animals to the vehicles
python -m tljax layers runs/transferability_cifar

The rows are explained in configs/transferability_digits.py. Offline, add --config.data.source=image_folder
--config.data.dir=$DATA/cifar10_4000. Its 50 epochs on all 50,000 pictures are meant for a GPU and have not been run;
10 epochs on 4,000 have, see the README.
"""

from typing import Any

from configs import default
from configs.transferability_digits import rows

STAGES = 5
MAN_MADE = ("airplane", "automobile", "ship", "truck")
NATURAL = ("bird", "cat", "deer", "dog", "frog", "horse")


def get_config(split: str = "random") -> Any:
    """The halves drawn at random, or with "man_made" A the animals and B the vehicles."""
    if split not in ("random", "man_made"):
        raise ValueError(f"the split must be random or man_made; got '{split}'")
    config = default.get_config()
    config.data.update(source="tfds", name="cifar10", size=32, pad=4, flip=True)
    config.model.update(family="resnet", variant="18")
    config.model.card.update(mean=(0.4914, 0.4822, 0.4465), std=(0.247, 0.2435, 0.2616))  # of CIFAR-10's training part
    config.optimizer.update(name="sgd", lr=0.05, weight_decay=5e-4, schedule="cosine")
    config.optimizer.kwargs.momentum = 0.9
    config.train.update(epochs=50.0, batch_size=128, checkpoint_epochs=10.0)
    table = rows(STAGES)
    if split == "man_made":
        halves = {"data.half=a": f"data.classes={NATURAL}", "data.half=b": f"data.classes={MAN_MADE}"}
        table = {row: tuple(halves.get(change, change) for change in changes) for row, changes in table.items()}
    config.suite.rows.update(table)
    config.suite.seeds = (0, 1, 2)
    return config
