"""A training step of segmentation beside torchvision's model of the same sizes, measured in turn.

    taskset -c 0 python bench/maps.py --cpu-time          # on a machine that stays busy
    python bench/maps.py --only jax                       # and --only torch: the process's peak of memory

FCN on a dilated ResNet-50 (maps of stride 8 to the end), the class of every pixel, all parameters learn by SGD with
momentum 0.9, in float32. torchvision's has no auxiliary head. torch runs eagerly. Ratios are of medians.
"""

import argparse
import resource
from typing import Any

import numpy as np
import torchvision_step
from timing import IMAGES, Run, arguments, compared, matmul_peak, report

from tljax.core.plugins import find
from tljax.core.types import IGNORED
from tljax.networks import network
from tljax.networks.segmentation.heads import HEADS
from tljax.tasks.segmentation import Segmentation

CLASSES = 11
HEAD = {"fcn_resnet50": "fcn", "deeplabv3_resnet50": "deeplab"}  # torchvision's name -> ours


def examples(args: argparse.Namespace) -> dict[str, np.ndarray]:
    draw, shape = np.random.default_rng(0), (args.batch, *args.shape)
    label = draw.integers(0, CLASSES, shape).astype(np.uint8)
    label[:, : args.shape[0] // 8] = IGNORED
    return {"image": draw.normal(size=(*shape, 3)).astype(np.float32), "label": label}


def ours(name: str, batch: dict[str, np.ndarray], args: argparse.Namespace) -> Run:
    backbone = find("families", "resnet").build("50_dilated")
    net = network.on(network.with_head(backbone, HEADS[HEAD[name]].on(backbone, CLASSES)), batch["image"][:1])
    task = Segmentation(HEAD[name], "cross_entropy", (1.0,) * CLASSES)
    return torchvision_step.ours(net, batch, args, task=task)


def theirs(name: str, batch: dict[str, np.ndarray]) -> Run:
    make = getattr(torchvision_step.torchvision().models.segmentation, name)
    module = make(weights=None, weights_backbone=None, num_classes=CLASSES)
    return torchvision_step.theirs(module, batch, cross_entropy)


def cross_entropy(module: Any, image: Any, label: Any) -> Any:
    from torch.nn import functional

    return functional.cross_entropy(module(image)["out"], label, ignore_index=IGNORED)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", nargs="+", default=["fcn_resnet50"], choices=HEAD)
    parser.add_argument("--shape", type=int, nargs=2, default=(96, 128), help="height and width, in pixels")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--only", choices=("jax", "torch"), help="run two steps of one alone, and print its memory")
    arguments(parser)
    args = parser.parse_args()
    batch = examples(args)
    makes = {"jax": lambda name: ours(name, batch, args), "torch": lambda name: theirs(name, batch)}
    if args.only:
        makes[args.only](args.names[0]).steps(2)
        print(f"{args.only}: peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB of the process")
        return
    kinds = ["jax"] if args.no_torch else ["jax", "torch"]
    peak = matmul_peak(args)
    rows = [
        {"model": name, **compared({kind: makes[kind](name) for kind in kinds}, args.batch, peak, args)}
        for name in args.names
    ]
    report(f"{args.shape[0]} x {args.shape[1]} px, batch {args.batch}", rows, IMAGES, "model", args)


if __name__ == "__main__":
    main()
