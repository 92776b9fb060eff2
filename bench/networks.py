"""A training step of networks for pictures, beside torchvision's own of the same sizes, measured in turn.

    python bench/networks.py --names regnet_y_400mf swin_t
    taskset -c 0 python bench/networks.py --cpu-time      # on a machine that stays busy

All parameters learn, by SGD with momentum 0.9, in float32. torch runs eagerly. Rounds alternate; ratios are of medians.
"""

import argparse
from typing import Any

import jax.numpy as jnp
import numpy as np
import torchvision_step
from timing import IMAGES, Run, arguments, compared, matmul_peak, report

from tljax.core.plugins import find
from tljax.networks.network import Network
from tljax.tasks import classification

CLASSES = 10
NETWORKS = {  # torchvision's name -> (family, variant)
    "resnet18": ("resnet", "18"),
    "mobilenet_v2": ("mobilenet", "v2"),
    "densenet121": ("densenet", "121"),
    "efficientnet_v2_s": ("efficientnet", "v2_s"),
    "regnet_y_400mf": ("regnet", "y_400mf"),
    "swin_t": ("swin", "tiny"),
}


def examples(args: argparse.Namespace) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    image = draw.normal(size=(args.batch, args.size, args.size, 3)).astype(np.float32)
    return {"image": image, "label": draw.integers(0, CLASSES, args.batch).astype(np.int32)}


def ours(name: str, batch: dict[str, np.ndarray], args: argparse.Namespace) -> Run:
    family, variant = NETWORKS[name]
    backbone = find("families", family).build(variant, dtype=jnp.dtype(args.dtype))
    return torchvision_step.ours(Network(backbone, classification.head(CLASSES)), batch, args)


def theirs(name: str, batch: dict[str, np.ndarray]) -> Run:
    module = torchvision_step.torchvision().models.get_model(name, weights=None, num_classes=CLASSES)
    return torchvision_step.theirs(module, batch, cross_entropy)


def cross_entropy(module: Any, image: Any, label: Any) -> Any:
    from torch.nn import functional

    return functional.cross_entropy(module(image), label)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--size", type=int, default=96, help="pixels")
    parser.add_argument("--batch", type=int, default=16)
    arguments(parser)
    args = parser.parse_args()
    batch, peak, rows = examples(args), matmul_peak(args), []
    for name in args.names:
        runs = {"jax": ours(name, batch, args)} | ({} if args.no_torch else {"torch": theirs(name, batch)})
        rows.append({"network": name, **compared(runs, args.batch, peak, args)})
    report(f"{args.size} px, batch {args.batch}", rows, IMAGES, "network", args)


if __name__ == "__main__":
    main()
