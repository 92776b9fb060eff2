"""How fast a ResNet or a ViT trains here, and beside torch where it is installed, measured in turn.

    python bench/train_step.py --size 64 --batch 64
    python bench/train_step.py --family vit --size 224 --batch 8 --learn full --cpu-time
    python bench/train_step.py --variant 50 --size 224 --batch 64 --dtype bfloat16 --out h100.json

Full: all parameters learn. Last stage: stage4 and the head (ViT: the last block and what follows). Head: the head
behind a frozen backbone. Cached: the head on features computed before. ResNet: SGD, momentum 0.9; ViT: AdamW.
torch runs eagerly on a CPU, and on CUDA compiled, channels last; in bfloat16 under autocast. Rounds alternate;
ratios are of medians. Rounds in which other processes took more than a third of a core are run again, for up to
--wait seconds. On a machine that stays busy, `taskset -c 0 python bench/train_step.py --cpu-time` compares what one
core does.
"""

import argparse
import importlib
import importlib.util
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from timing import Run, arguments, compared, matmul_peak, pictures, report, training

from tljax.core import layer_groups
from tljax.core.types import EVALUATE, Mode
from tljax.networks.families import resnet, vit
from tljax.networks.network import Network
from tljax.tasks import classification
from tljax.training.parallel import compiler_options

CLASSES = 10
FAMILIES = {"resnet": resnet, "vit": vit}
FIRST = {"resnet": "18", "vit": "tiny16"}  # the variant, if none is named
TECHNIQUES = ("full", "last stage", "head", "cached")


class OnFeatures(nn.Module):
    """The head alone, called as a network."""

    head: nn.Module

    def __call__(self, x: jax.Array, mode: Mode = EVALUATE) -> jax.Array:  # noqa: ARG002  (a network takes it)
        return self.head(x)


def jax_runs(args: argparse.Namespace) -> dict[str, Run]:
    backbone = FAMILIES[args.family].build(args.variant, dtype=jnp.dtype(args.dtype))
    network = Network(backbone, classification.head(CLASSES))
    batch = examples(args)
    variables = jax.jit(network.init)(jax.random.key(0), batch["image"][:1])
    groups = layer_groups.assign(variables["params"], backbone.stages, {})
    options: dict[str, Any] = {
        "prepare": pictures,
        "tx": optax.sgd(0.01, momentum=0.9) if args.family == "resnet" else optax.adamw(1e-4, weight_decay=0.01),
        "options": {} if args.as_xla_chooses else compiler_options(),
    }
    runs = {
        name: training(network, variables, batch, groups, learning(name, backbone.stages) or tuple(groups), **options)
        for name in args.learn
        if name != "cached"
    }
    if "cached" not in args.learn:
        return runs
    extract = jax.jit(lambda v, x: network.apply(v, x, method="features"))
    head = {"params": {"head": variables["params"]["head"]}}
    features = batch | {"image": np.asarray(extract(variables, batch["image"]))}
    only_head = {"head": groups["head"]}
    runs["cached"] = training(OnFeatures(classification.head(CLASSES)), head, features, only_head, ("head",), **options)
    return runs


def learning(technique: str, stages: tuple[str, ...]) -> tuple[str, ...] | None:
    """The groups that learn; None: all of them."""
    last = [name for name in stages if name.startswith(("stage", "block"))][-1]
    groups = {"full": None, "last stage": (*stages[stages.index(last) :], "head")}
    return groups.get(technique, ("head",))


def examples(args: argparse.Namespace) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    image = draw.normal(size=(args.batch, args.size, args.size, 3)).astype(np.float32)
    return {"image": image, "label": draw.integers(0, CLASSES, args.batch).astype(np.int32)}


def torch_runs(args: argparse.Namespace) -> dict[str, Run]:
    """The same in torch; none where it is not installed."""
    if importlib.util.find_spec("torch") is None or args.no_torch:
        return {}
    theirs = importlib.import_module(f"torch_{args.family}")  # beside this file
    family, batch = FAMILIES[args.family], examples(args)
    shape, stages = family.variant_of(args.variant), family.build(args.variant).stages
    return {
        name: Run(theirs.steps(shape, batch, CLASSES, args.dtype, learning(name, stages), cached=name == "cached"))
        for name in args.learn
    }


def measure(args: argparse.Namespace) -> list[dict[str, Any]]:
    """A row a technique."""
    ours, theirs, peak = jax_runs(args), torch_runs(args), matmul_peak(args)
    rows = []
    for name, run in ours.items():
        pair = {"jax": run} | ({"torch": theirs[name]} if name in theirs else {})
        row = {"learns": name, **compared(pair, args.batch, peak, args)}
        row["times_full"] = row["jax_s"] / (rows[0]["jax_s"] if rows else row["jax_s"])
        rows.append(row)
    return rows


COLUMNS = {  # as `timing.table` takes them
    "jax images/s": ("jax_s", ".1f", 1),
    "torch images/s": ("torch_s", ".1f", 1),
    "jax/torch": ("ratio", ".2f", 1),
    "of full": ("times_full", ".2f", 1),
    "compile s": ("compile_s", ".1f", 1),
    "temp MB": ("temp_bytes", ".0f", 1e-6),
    "GFLOP": ("flops", ".2f", 1e-9),
    "of peak": ("peak_share", ".0%", 1),
    "rounds": ("rounds", "d", 1),
    "quiet": ("quiet_rounds", "d", 1),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", default="resnet", choices=FAMILIES)
    parser.add_argument("--variant", default="", metavar="NAME", help="of the family; default: ResNet-18, ViT-Tiny/16")
    parser.add_argument("--learn", nargs="+", default=TECHNIQUES, choices=TECHNIQUES)
    parser.add_argument("--size", type=int, default=64, help="pixels")
    parser.add_argument("--batch", type=int, default=64)
    arguments(parser)
    args = parser.parse_args()
    args.variant = args.variant or FIRST[args.family]
    report(f"{args.family} {args.variant}, {args.size} px, batch {args.batch}", measure(args), COLUMNS, "learns", args)


if __name__ == "__main__":
    main()
