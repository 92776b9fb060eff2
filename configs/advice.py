"""Little or much data, a similar or a different task: which strategy wins, and what `auto` would have said.

python main.py --config configs/advice.py:photo --config.data.dir=$DATA/pacs           as ImageNet's pictures: similar
python main.py --config configs/advice.py:sketch --config.data.dir=$DATA/pacs          drawings: different
python main.py --config configs/advice.py:caltech --config.data.dir=$DATA/caltech101   as ImageNet's, 102 classes
python main.py --config configs/advice.py:plates --config.data.dir=plates              grey characters
python main.py --config configs/advice.py:cifar --config.data.dir=$DATA/cifar10_4000   tiny pictures

The slides: with little data and a similar task train the classifier alone; with little data and a different task the
last layers too; with much data all layers. Rows are strategies with 5, 20 and 80 examples a class, or as many as there
are. `auto` measures similarity (decision.json in its run folder) and chooses; docs/slides.md shows its choice beside
the best row, and the difference in points. The folder `plates` is that of configs/plates.py. ResNet-18 at 64 pixels;
weights come from the hub; without a network add
  --config.model.weights=$WEIGHTS/resnet18_imagenet.safetensors
"""

from typing import Any

from configs import default

STRATEGIES = {
    "scratch": ("strategy.name=scratch", "optimizer.lr=1e-3"),
    "linear_probe": ("strategy.name=linear_probe", "optimizer.lr=1e-3"),
    "last_k": ("strategy.name=last_k",),
    "layer_decay": ("strategy.name=layer_decay", "optimizer.lr=1e-3"),
    "full": ("strategy.name=full",),
    "auto": ("strategy.name=auto",),
}
SIZES = (5, 20, 80)
# the task -> what is set in config.data, and the sizes.
TASKS: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "photo": ({"divide": ("photo",), "fractions": (0.67, 0.08, 0.25)}, SIZES),
    "sketch": ({"divide": ("sketch",), "fractions": (0.67, 0.08, 0.25)}, (5, 20, 50)),
    "caltech": ({"fractions": (0.6, 0.1, 0.3)}, (5, 15)),
    "plates": ({"divide": ("characters",), "fractions": (0.5, 0.1, 0.4)}, (5,)),
    "cifar": ({"validation": 0.1}, (5, 20, 80, 320)),
}


def get_config(task: str = "photo") -> Any:
    """Every strategy with every number of examples, on one task."""
    if task not in TASKS:
        raise ValueError(f"the task must be {', '.join(TASKS)}; got '{task}'")
    data, sizes = TASKS[task]
    config = default.get_config()
    config.data.update(source="image_folder", dir=task, resize=64, size=64, augment=False, **data)
    config.model.update(family="resnet", variant="18", weights="timm/resnet18.tv_in1k")
    config.model.card.update(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    config.optimizer.update(name="adamw", lr=3e-4, weight_decay=0.01, schedule="cosine", warmup=0.1)
    config.train.update(epochs=10.0, min_steps=100, batch_size=16, eval_batch_size=64, checkpoint_epochs=10.0)
    config.suite.seeds = (0, 1, 2)
    for number in sizes:
        for name, changes in STRATEGIES.items():
            config.suite.rows[f"{name}_{number}"] = (*changes, f"data.examples_per_class={number}")
    return config
