"""The same seven classes as photographs, paintings, cartoons and sketches (PACS, Li et al. 2017): source x target.

python main.py --config configs/pacs.py --config.data.dir=$DATA/pacs           every domain to every other, and the drop
python main.py --config configs/pacs.py:sketch --config.data.dir=$DATA/pacs    from photographs to sketches: remedies

A folder for each domain: <domain>/<class>/<picture>. 80 % of the source teach, 10 % choose the epoch, 10 % test; every
other domain is evaluated on. For the remedies (coral, mmd, dann, mcc, adabn) the whole target is seen without its
labels, as is usual with pictures. Each has a row whose epoch is chosen by the source's validation part and one
"by_entropy", chosen by the target's predictions; what the target's own labels would have chosen stands in transfer.md
as "(oracle)". No choice of config.adaptation.weight was tuned on the target.

ResNet-18, 96 pixels; the last stage and a head learn on cached features of the stages before (Long et al. 2015 freeze
the early layers too). Weights come from the hub; without a network add
  --config.model.weights=$WEIGHTS/resnet18_imagenet.safetensors

The slide has Office-31 (configs/office31.py). What was reached: docs/slides.md.
"""

from typing import Any

from ml_collections import ConfigDict

from configs import default

DOMAINS = ("photo", "art_painting", "cartoon", "sketch")
REMEDIES = {
    "none": ("adaptation.name=",),
    "coral": ("adaptation.name=coral", "adaptation.weight=100"),
    "mmd": ("adaptation.name=mmd",),
    "dann": ("adaptation.name=dann", "adaptation.weight=0.3"),
    "mcc": ("adaptation.name=mcc",),
    "adabn": ("adaptation.name=adabn",),
}


def get_config(target: str = "all") -> Any:
    """Every domain as the source, or the remedies from photographs to the domain `target`."""
    if target not in ("all", *DOMAINS[1:]):
        raise ValueError(f"the target must be all, {', '.join(DOMAINS[1:])}; got '{target}'")
    config = base(DOMAINS, "pacs")
    return every_pair(config, DOMAINS) if target == "all" else remedies(config, DOMAINS[0], target)


def base(domains: tuple[str, ...], folder: str) -> Any:
    """What all suites of pictures in several domains share."""
    config = default.get_config()
    config.data.update(source="image_folder", dir=folder, resize=96, size=96, augment=False)
    config.data.update(fractions=(0.8, 0.1, 0.1), divide=domains[:1])
    config.model.update(family="resnet", variant="18", weights="timm/resnet18.tv_in1k")
    config.model.card.update(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    config.strategy.name = "last_k"
    config.optimizer.update(name="adamw", lr=1e-4, weight_decay=0.01)
    config.optimizer.groups.head = ConfigDict({"lr": 1e-3})  # it is new
    config.train.update(epochs=10.0, batch_size=32, eval_epochs=1.0, checkpoint_epochs=5.0, log_steps=10)
    config.suite.seeds = (0, 1, 2)
    return config


def every_pair(config: Any, domains: tuple[str, ...]) -> Any:
    """A row for each source, evaluated on all other domains."""
    others = {name: tuple(other for other in domains if other != name) for name in domains}
    config.data.targets = others[domains[0]]
    config.suite.rows.update(
        {name: (f"data.divide={(name,)}", f"data.targets={rest}") for name, rest in others.items()}
    )
    return config


def remedies(config: Any, source: str, target: str) -> Any:
    """Two rows for each remedy, by the criterion that chooses the epoch without a label of the target."""
    config.data.update(divide=(source,), targets=(target,), unlabelled=(target,), unlabelled_share=1.0)
    config.train.oracle = True
    for name, changes in REMEDIES.items():
        config.suite.rows[name] = changes
        config.suite.rows[f"{name}_by_entropy"] = (*changes, "train.select=entropy")
    return config
