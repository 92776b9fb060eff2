"""How fast a ResNet trains here, and beside torch where it is installed, measured in turn.

    python bench/train_step.py --size 64 --batch 64
    python bench/train_step.py --variant 50 --size 224 --batch 64 --dtype bfloat16 --out h100.json

Full: all parameters learn. Last stage: stage4 and the head. Head: the head behind a frozen backbone.
Cached: the head on features computed before. SGD, momentum 0.9. torch runs eagerly on a CPU, and on
CUDA compiled, channels last; in bfloat16 under autocast. Rounds alternate; ratios are of medians. Rounds in
which other processes took more than a third of a core are run again, for up to --wait seconds. On a machine
that stays busy, `taskset -c 0 python bench/train_step.py --cpu-time` compares what one core does.
"""

import argparse
import importlib.util
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from timing import Run, arguments, compared, matmul_peak, report, training

from tljax.core import layer_groups
from tljax.core.types import EVALUATE, Mode
from tljax.networks.families import resnet
from tljax.networks.network import Network
from tljax.tasks import classification
from tljax.training.parallel import compiler_options

CLASSES = 10
LEARNING = {"full": None, "last stage": ("stage4", "head"), "head": ("head",)}  # None: every group


class OnFeatures(nn.Module):
    """The head alone, called as a network."""

    head: nn.Module

    def __call__(self, x: jax.Array, mode: Mode = EVALUATE) -> jax.Array:  # noqa: ARG002  (a network takes it)
        return self.head(x)


def jax_runs(args: argparse.Namespace) -> dict[str, Run]:
    backbone = resnet.build(args.variant, dtype=jnp.dtype(args.dtype))
    network = Network(backbone, classification.head(CLASSES))
    batch = examples(args)
    variables = jax.jit(network.init)(jax.random.key(0), batch["image"][:1])
    groups = layer_groups.assign(variables["params"], backbone.stages, {})
    options: dict[str, Any] = {
        "prepare": lambda batch, *_: {**batch, "inputs": batch["image"]},
        "tx": optax.sgd(0.01, momentum=0.9),
        "options": {} if args.as_xla_chooses else compiler_options(),
    }
    runs = {
        name: training(network, variables, batch, groups, tuple(learning or groups), **options)
        for name, learning in LEARNING.items()
    }
    extract = jax.jit(lambda v, x: network.apply(v, x, method="features"))
    head = {"params": {"head": variables["params"]["head"]}}
    features = batch | {"image": np.asarray(extract(variables, batch["image"]))}
    only_head = {"head": groups["head"]}
    runs["cached"] = training(OnFeatures(classification.head(CLASSES)), head, features, only_head, ("head",), **options)
    return runs


def examples(args: argparse.Namespace) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    image = draw.normal(size=(args.batch, args.size, args.size, 3)).astype(np.float32)
    return {"image": image, "label": draw.integers(0, CLASSES, args.batch).astype(np.int32)}


def torch_runs(args: argparse.Namespace) -> dict[str, Run]:
    """The same in torch; none where it is not installed."""
    if importlib.util.find_spec("torch") is None or args.no_torch:
        return {}
    import torch_resnet  # beside this file

    batch = examples(args)
    learning = LEARNING | {"cached": ("head",)}
    shape = resnet.variant_of(args.variant)
    return {
        name: Run(torch_resnet.steps(shape, batch, CLASSES, args.dtype, groups, cached=name == "cached"))
        for name, groups in learning.items()
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
    parser.add_argument("--variant", default="18", choices=resnet.VARIANTS)
    parser.add_argument("--size", type=int, default=64, help="pixels")
    parser.add_argument("--batch", type=int, default=64)
    arguments(parser)
    args = parser.parse_args()
    report(f"ResNet-{args.variant}, {args.size} px, batch {args.batch}", measure(args), COLUMNS, "learns", args)


if __name__ == "__main__":
    main()
