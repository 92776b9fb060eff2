"""Office-31 (Saenko et al. 2010): things as Amazon shows them, and as a webcam and an SLR camera see them.

python main.py --config configs/office31.py --config.data.dir=$DATA/office31           every domain to every other
python main.py --config configs/office31.py:webcam --config.data.dir=$DATA/office31    from Amazon to it: remedies

A folder for each domain: amazon/<class>/<picture>, webcam/..., dslr/...; in the published archive a folder `images`
stands between, whose content is to be moved up. ResNet-50, 224 pixels, as in the slides; rows as in configs/pacs.py.

The slide, amazon to webcam, ResNet-50, chosen on the target's labels: source only 75.8, DANN 91.4, MCC 94.1.
Not run: the data could not be had. The config is tested on a small folder of this layout.
"""

from typing import Any

from configs import pacs

DOMAINS = ("amazon", "webcam", "dslr")


def get_config(target: str = "all") -> Any:
    """Every domain as the source, or the remedies from Amazon to the domain `target`."""
    if target not in ("all", *DOMAINS[1:]):
        raise ValueError(f"the target must be all, {', '.join(DOMAINS[1:])}; got '{target}'")
    config = pacs.base(DOMAINS, "office31")
    config.data.update(resize=256, crop=224, size=224, flip=True, augment=True)
    config.model.update(variant="50", weights="timm/resnet50.tv_in1k")
    config.strategy.name = "layer_decay"
    return pacs.every_pair(config, DOMAINS) if target == "all" else pacs.remedies(config, DOMAINS[0], target)
