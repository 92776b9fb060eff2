"""Chest X-rays with COVIDx's lists: normal, pneumonia, COVID-19. What transfer is worth, and how much a split leaks.

python main.py --config configs/xrays.py --config.data.dir=$DATA/covidx_like          ResNet-18
python main.py --config configs/xrays.py:vgg19 --config.data.dir=$DATA/covidx_like    VGG19, 140 million parameters
python main.py --config configs/xrays.py:leak --config.data.dir=$DATA/covidx_like     features, then classic classifiers

The list has a line `patient file class source` for each picture. Rows "patient" keep a patient's pictures in one part,
rows "picture" divide pictures alone, so a patient may be known from training; rows "nih" are the two classes that come
from one collection, for a class that has a collection of its own may be told by it: look with
python -m tljax explain RUN $DATA/covidx_like/pictures/... (Grad-CAM). Weights come from the hub; without a network add
  --config.model.weights=$WEIGHTS/resnet18_imagenet.safetensors

The slide: 162 min 38 s from scratch, 164 min 26 s with transfer, on other hardware. What was reached: docs/slides.md.
"""

from typing import Any

from configs import default

NETWORKS = {
    "resnet18": ("resnet", "18", "timm/resnet18.tv_in1k", 0.01),
    "vgg19": ("vgg", "19", "timm/vgg19.tv_in1k", 0.001),
}
SPLITS = {
    "patient": ("data.group=patient",),
    "picture": ("data.group=",),
    "nih": ("data.group=patient", "data.classes=('normal', 'pneumonia')"),
}
STARTS = {"scratch": ("strategy.name=scratch",), "transfer": ("strategy.name=layer_decay",)}
CLASSIC = {
    "logistic": ("strategy.name=classic", "strategy.classifier=logistic"),
    "neighbour": ("strategy.name=classic", "strategy.classifier=knn"),
}


def get_config(network: str = "resnet18") -> Any:
    """The rows of one network, or with "leak" classifiers on frozen features of a ResNet-18, every way of splitting."""
    if network not in (*NETWORKS, "leak"):
        raise ValueError(f"the network must be {', '.join(NETWORKS)} or leak; got '{network}'")
    family, variant, weights, rate = NETWORKS.get(network, NETWORKS["resnet18"])
    config = default.get_config()
    config.data.update(source="covidx", dir="covidx_like", resize=96, size=96, augment=False)
    config.data.update(fractions=(0.7, 0.1, 0.2), group="patient")
    config.model.update(family=family, variant=variant, weights=weights)
    config.model.card.update(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    config.optimizer.update(name="sgd", lr=rate, weight_decay=5e-4, schedule="cosine", warmup=0.1)
    config.optimizer.kwargs.momentum = 0.9
    if network != "leak":
        config.task.class_weights = ("balanced",)
    config.strategy.name = "layer_decay"
    config.train.update(epochs=10.0, batch_size=16, eval_batch_size=64, checkpoint_epochs=2.0, log_steps=10)
    for split, divided in SPLITS.items():
        for name, start in (CLASSIC if network == "leak" else STARTS).items():
            config.suite.rows[f"{split}_{name}"] = (*divided, *start)
    config.suite.seeds = (0, 1, 2, 3, 4) if network == "leak" else (0, 1, 2)
    return config
