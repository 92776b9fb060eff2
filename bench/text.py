"""How fast a text encoder trains and answers here, beside transformers on torch where they are installed, in turn.

    python bench/text.py
    python bench/text.py --variant base --lengths 128 --batch 32 --dtype bfloat16 --out h100.json

Train: all parameters learn with AdamW, dropout and all. Forward: logits alone. A row a bucket: texts of half of
its length to all of it, padded to the bucket in both. transformers runs eagerly with its own fused attention, in
bfloat16 under autocast. Rounds alternate, as in bench/train_step.py. "MB" are of a process that does one thing alone:
resident at most on a CPU, allocated at most on a GPU.
"""

import argparse
import importlib.util
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from timing import Run, arguments, compared, costs, matmul_peak, report, training

from tljax.core import layer_groups
from tljax.networks.families import bert
from tljax.networks.network import Network
from tljax.tasks import classification
from tljax.training.parallel import compiler_options

CLASSES = 10
LR, DECAY = 2e-5, 0.01
KINDS = ("train", "forward")


def jax_run(kind: str, length: int, args: argparse.Namespace) -> Run:
    backbone = bert.build(args.variant, dtype=jnp.dtype(args.dtype))
    network, batch = Network(backbone, classification.head(CLASSES)), examples(length, args)
    tokens = prepare(batch)["inputs"]
    variables = jax.jit(network.init)(jax.random.key(0), tokens)
    options = {} if args.as_xla_chooses else compiler_options()
    if kind == "train":
        groups = layer_groups.assign(variables["params"], backbone.stages, {})
        tx = optax.adamw(LR, weight_decay=DECAY)
        return training(network, variables, batch, groups, tuple(groups), prepare=prepare, tx=tx, options=options)
    variables, tokens = jax.device_put((variables, tokens))
    compiled = jax.jit(network.apply).lower(variables, tokens).compile(compiler_options=options)

    def steps(n: int) -> None:
        jax.block_until_ready([compiled(variables, tokens) for _ in range(n)])

    return Run(steps, costs(compiled))


def torch_run(kind: str, length: int, args: argparse.Namespace) -> Run:
    import torch_text  # beside this file

    shape, batch = bert.variant_of(args.variant), examples(length, args)
    return Run(torch_text.steps(shape, batch, CLASSES, args.dtype, train=kind == "train", lr=LR, decay=DECAY))


def examples(length: int, args: argparse.Namespace) -> dict[str, np.ndarray]:
    """A batch as `tokens.Tokens.take` makes one, of words drawn at random."""
    draw, vocabulary = np.random.default_rng(0), bert.variant_of(args.variant).vocabulary
    tokens = np.arange(length) < draw.integers(length // 2, length + 1, args.batch)[:, None]
    ids = np.where(tokens, draw.integers(1, vocabulary, tokens.shape), 0).astype(np.int32)
    label = draw.integers(0, CLASSES, args.batch).astype(np.int32)
    return {"ids": ids, "types": np.zeros_like(ids), "tokens": tokens, "label": label}


def prepare(batch: Any, *_: Any) -> dict[str, Any]:
    return {**batch, "inputs": {"ids": batch["ids"], "mask": batch["tokens"], "types": batch["types"]}}


MAKE = {"jax": jax_run, "torch": torch_run}


def measure(args: argparse.Namespace) -> list[dict[str, Any]]:
    """A row a kind and length."""
    missing = any(importlib.util.find_spec(name) is None for name in ("torch", "transformers"))
    sides, peak, rows = ("jax",) if missing or args.no_torch else ("jax", "torch"), matmul_peak(args), []
    for kind in KINDS:
        for length in args.lengths:
            pair = {side: MAKE[side](kind, length, args) for side in sides}
            row = {"what": f"{kind} {length}", **compared(pair, args.batch, peak, args)}
            row |= {f"{side}_peak": memory(side, kind, length) for side in sides}
            rows.append(row | ({"memory_ratio": row["jax_peak"] / row["torch_peak"]} if len(sides) > 1 else {}))
    return rows


def memory(side: str, kind: str, length: int) -> float:
    """Bytes at most that a process of its own takes for a few steps."""
    command = [sys.executable, __file__, *sys.argv[1:], "--memory", side, kind, str(length)]
    said = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(said.stdout.split()[-1])


def most_memory(side: str, kind: str, length: int, args: argparse.Namespace) -> float:
    """What `memory` asks the process for."""
    MAKE[side](kind, length, args).steps(3)
    if jax.default_backend() == "cpu":
        return peak_resident()
    if side == "jax":
        return jax.devices()[0].memory_stats()["peak_bytes_in_use"]
    import torch

    return torch.cuda.max_memory_allocated()


def peak_resident() -> int:
    """Bytes that this process had in memory at most. On Linux not by getrusage, which counts the parent's with it."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


COLUMNS = {  # as `timing.table` takes them
    "jax texts/s": ("jax_s", ".1f", 1),
    "torch texts/s": ("torch_s", ".1f", 1),
    "jax/torch": ("ratio", ".2f", 1),
    "jax MB": ("jax_peak", ".0f", 1e-6),
    "torch MB": ("torch_peak", ".0f", 1e-6),
    "MB jax/torch": ("memory_ratio", ".2f", 1),
    "compile s": ("compile_s", ".1f", 1),
    "GFLOP": ("flops", ".2f", 1e-9),
    "of peak": ("peak_share", ".0%", 1),
    "rounds": ("rounds", "d", 1),
    "quiet": ("quiet_rounds", "d", 1),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variant", default="minilm_l6", choices=bert.VARIANTS, metavar="NAME", help="of BERT")
    parser.add_argument("--lengths", type=int, nargs="+", default=(64, 128), help="tokens")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--memory", nargs=3, metavar=("SIDE", "KIND", "LENGTH"), help="only what such a process takes")
    arguments(parser)
    args = parser.parse_args()
    if args.memory:
        side, kind, length = args.memory
        print(most_memory(side, kind, int(length), args))
        return
    report(f"BERT {args.variant}, batch {args.batch}", measure(args), COLUMNS, "what", args)


if __name__ == "__main__":
    main()
