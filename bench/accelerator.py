"""What tljax does on an accelerator, in 15 minutes on one chip: parts in the order of their worth, each a process.

    python bench/accelerator.py --out accelerator.json
    python bench/accelerator.py --rehearse             # small, on a CPU, to see that every part runs

A part that fails or takes longer than its limit is noted, and the next begins; the file is written after each, so a run
that is cut off still tells something. No network is needed: networks begin at random, pictures are made here.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

BENCH = Path(__file__).parent
Found = list[dict[str, Any]]


def correctness(small: bool) -> Found:
    """Outputs on the accelerator beside those of the CPU, and a step done twice."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from tljax.networks.families import resnet, vit

    rows, size = [], 32 if small else 224
    builds: dict[str, Callable[..., Any]] = {"resnet18": lambda **k: resnet.build("18", **k)}
    if not small:  # a ViT has a fixed size of input
        builds["vit_tiny16"] = lambda **k: vit.build("tiny16", **k)
    x = np.random.default_rng(0).normal(size=(4, size, size, 3)).astype(np.float32)
    for name, build in builds.items():
        with jax.default_device(jax.devices("cpu")[0]):
            variables = jax.jit(build().init)(jax.random.key(0), x)
            expected = np.asarray(jax.jit(build().apply)(variables, x), np.float32)
        variables = jax.device_put(jax.tree.map(np.asarray, variables), jax.devices()[0])
        for dtype in ("float32", "bfloat16"):
            with jax.default_matmul_precision("highest" if dtype == "float32" else "default"):
                apply = jax.jit(build(dtype=jnp.dtype(dtype)).apply)
                found, again = (np.asarray(apply(variables, x), np.float32) for _ in range(2))
            scale = float(np.abs(expected).max())
            error = float(np.abs(found - expected).max()) / scale
            rows.append(
                {"what": f"{name} {dtype}", "largest error": error, "twice equal": bool((found == again).all())}
            )
    return rows


def peak(small: bool) -> Found:
    """FLOP/s of a large product."""
    from timing import matmul_peak

    rows = []
    for dtype in ("float32",) if small else ("bfloat16", "float32"):
        args = argparse.Namespace(dtype=dtype, cpu_time=False)
        rows.append({"what": f"matmul {dtype}", "TFLOP/s": matmul_peak(args) / 1e12})
    return rows


def resnet50(small: bool) -> Found:
    """bench/train_step.py: ResNet-50 beside torch.compile, channels last, autocast, where torch is installed."""
    size = ["--variant", "18", "--size", "32", "--batch", "4", "--seconds", "0.01", "--rounds", "1", "--wait", "0"]
    full = ["--variant", "50", "--size", "224", "--batch", "128", "--dtype", "bfloat16", "--rounds", "5"]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rows.json"
        words = [*(size if small else full), *(["--no-torch"] if small else []), "--out", str(out)]
        subprocess.run([sys.executable, str(BENCH / "train_step.py"), *words], check=True)
        return [{"what": row.pop("learns"), **row} for row in json.loads(out.read_text())["rows"]]


def vit_b(small: bool) -> Found:
    """A full step of ViT-B/16 at 224 with AdamW."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax
    from timing import pictures, race, training

    from tljax.core import layer_groups
    from tljax.networks.families import vit
    from tljax.networks.network import Network
    from tljax.tasks import classification

    batch_size, dtype = (1, "float32") if small else (128, "bfloat16")
    backbone = vit.build("tiny16" if small else "base16", dtype=jnp.dtype(dtype))
    network = Network(backbone, classification.head(10))
    image = np.random.default_rng(0).normal(size=(batch_size, 224, 224, 3)).astype(np.float32)
    batch = {"image": image, "label": np.zeros(batch_size, np.int32)}
    variables = jax.jit(network.init)(jax.random.key(0), image[:1])
    groups = layer_groups.assign(variables["params"], backbone.stages, {})

    run = training(network, variables, batch, groups, tuple(groups), prepare=pictures, tx=optax.adamw(1e-4), options={})
    args = argparse.Namespace(seconds=0.01 if small else 2.0, rounds=1 if small else 5, wait=0, cpu_time=False)
    seconds = race({"jax": run}, args)["jax"]["seconds"]
    flops = run.facts.get("flops", 0.0) / seconds / 1e12
    return [{"what": f"vit {dtype}", "images/s": batch_size / seconds, "TFLOP/s": flops, **run.facts}]


def attention(small: bool) -> Found:
    """Attention by XLA and by cuDNN's flash kernel, forward and backward; where there is none, why."""
    import jax
    import jax.numpy as jnp

    shape = (1, 16, 2, 16) if small else (64, 197, 12, 64)
    q = jnp.ones(shape, jnp.bfloat16)
    rows = []
    for name in ("xla", "cudnn"):

        def loss(q: jax.Array, name: Any = name) -> jax.Array:
            return jax.nn.dot_product_attention(q, q, q, implementation=name).astype(jnp.float32).sum()

        step = jax.jit(jax.grad(loss))
        try:
            step(q).block_until_ready()
        except Exception as error:  # each backend has its own reasons, in its own classes
            rows.append({"what": name, "ms": None, "not here": str(error).splitlines()[0][:200]})
            continue
        began, rounds = time.perf_counter(), 2 if small else 50
        for _ in range(rounds):
            found = step(q)
        found.block_until_ready()
        rows.append({"what": name, "ms": (time.perf_counter() - began) / rounds * 1e3})
    return rows


def jpegs(small: bool) -> Found:
    """A run fed from JPEG files, decoded for every batch, beside the same run with pictures in memory."""
    import numpy as np
    from PIL import Image

    rows, number, pixels = [], 8 if small else 2000, 40 if small else 400
    with tempfile.TemporaryDirectory() as folder:
        draw = np.random.default_rng(0)
        for split in ("train", "test"):
            for label in ("a", "b"):
                place = Path(folder) / "data" / split / label
                place.mkdir(parents=True)
                for i in range(number if split == "train" else 4):
                    low = Image.fromarray(draw.integers(0, 255, (8, 8, 3), np.uint8))
                    low.resize((pixels, pixels), Image.Resampling.BICUBIC).save(place / f"{i}.jpg")
        empty = Path(folder) / "empty.py"
        empty.write_text("from configs.default import get_config  # noqa: F401\n")
        for memory in ("true", "false"):
            config = {"data.source": "image_folder", "data.dir": f"{folder}/data", "data.resize": pixels}
            config |= {"data.in_memory": memory, "data.size": 32 if small else 224, "model.family": "resnet"}
            config |= {"model.variant": "18" if small else "50", "strategy.name": "scratch", "report": "none"}
            config |= {"data.crop": 32 if small else 224}
            config |= {"model.card.mean": (0.5, 0.5, 0.5), "model.card.std": (0.25, 0.25, 0.25)}
            config |= {"train.epochs": "1.0", "train.batch_size": 4 if small else 128}
            config |= {"model.dtype": "float32" if small else "bfloat16"}
            words = [f"--config.{key}={value}" for key, value in config.items()]
            run = Path(folder) / memory
            command = [sys.executable, "-m", "tljax", "train", str(empty), *words, f"--workdir={run}"]
            ended = subprocess.run(command, cwd=BENCH.parent, capture_output=True, text=True)
            if ended.returncode:
                raise RuntimeError(" ".join(ended.stderr.split())[-300:])
            result = json.loads((run / "result.json").read_text())
            rows.append({"what": f"in memory: {memory}", **result["throughput"]})
    return rows


def fsdp(small: bool) -> Found:  # noqa: ARG001, shapes alone
    """Bytes of ViT-B/16 with AdamW on a device, as one and as four and eight devices have it."""
    import jax
    import jax.numpy as jnp
    import optax
    from jax.sharding import AbstractMesh

    from tljax.networks.families import vit
    from tljax.training import sharding

    backbone = vit.build("base16")
    params = jax.eval_shape(lambda: backbone.init(jax.random.key(0), jnp.zeros((1, 224, 224, 3))))["params"]
    state = {"params": params, "opt_state": jax.eval_shape(optax.adamw(1e-4).init, params)}
    layouts = {parts: sharding.Layout(AbstractMesh((1, parts), sharding.AXES)) for parts in (1, 4, 8)}
    return [{"what": f"{parts} parts", "MiB": one.bytes(state) / 2**20} for parts, one in layouts.items()]


PARTS: dict[str, tuple[Callable[[bool], Found], float]] = {  # in the order of their worth, with seconds
    "correctness": (correctness, 120),
    "peak": (peak, 40),
    "resnet50": (resnet50, 240),
    "vit_b": (vit_b, 150),
    "attention": (attention, 60),
    "jpegs": (jpegs, 200),
    "fsdp": (fsdp, 30),
}


def measured(name: str, *, small: bool) -> dict[str, Any]:
    """A part in a process of its own: what it found, or why not."""
    limit, began = PARTS[name][1], time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "part.json"
        command = [sys.executable, __file__, "--part", name, "--out", str(out), *(["--rehearse"] if small else [])]
        try:
            ended = subprocess.run(command, timeout=limit, capture_output=True, text=True)
            why = "" if out.exists() else (ended.stderr.strip().splitlines() or ["no word"])[-1]
        except subprocess.TimeoutExpired:
            why = f"longer than {limit:g} s"
        rows = json.loads(out.read_text()) if out.exists() else []
    return {"rows": rows, "failed": why, "seconds": round(time.monotonic() - began, 1)}


def lines(name: str, part: dict[str, Any]) -> str:
    """A part, for the screen."""
    title = f"{name}, {part['seconds']:g} s" + (f": FAILED, {part['failed']}" if part["failed"] else "")
    rows = [
        "  ".join([f"  {row['what']:24}", *(f"{key} {_cell(x)}" for key, x in row.items() if key != "what")])
        for row in part["rows"]
    ]
    return "\n".join([title, *rows])


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "-" if value is None else str(value)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rehearse", action="store_true", help="small sizes")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--minutes", type=float, default=15, help="no part begins later")
    parser.add_argument("--out", type=Path, default=Path("accelerator.json"))
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part:
        rows = PARTS[args.part][0](args.rehearse)
        args.out.write_text(json.dumps(rows, default=str))
        return 0
    parts, began = {}, time.monotonic()
    for name in args.only:
        if time.monotonic() - began > 60 * args.minutes:
            print(f"{name}: not begun, {args.minutes:g} minutes are up")
            continue
        parts[name] = measured(name, small=args.rehearse)
        args.out.write_text(json.dumps(parts, indent=2))
        print(lines(name, parts[name]), flush=True)
    return int(any(part["failed"] for part in parts.values()))


if __name__ == "__main__":
    sys.exit(main())
