"""Whole jobs from the shell to the result, beside a good torch script, in turn: what a person waits and pays for.

    python bench/jobs.py --data $DATA --weights $WEIGHTS
    python bench/jobs.py --data $DATA --weights $WEIGHTS --jobs ants --rounds 5

ants: a linear probe of a ResNet-18 on photographs of ants and bees, 10 epochs; cold (no compiled program and no
features in the cache) and then with another seed. cifar: all parameters of a ResNet-18 learn on CIFAR-10-4000 at 96
pixels, an epoch; cold, and then with another seed. Theirs is bench/torch_jobs.py, which keeps nothing for a second.
Neither draws a page or figures; ours writes checkpoints, and evaluates the training part too.
Seconds are of processor time (user and system) and of the clock, megabytes the largest resident size.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
FIGURES = ("cpu", "wall", "mb")


def commands(job: str, args: argparse.Namespace) -> tuple[list[str], list[str]]:
    """(Our command, theirs), without what changes from run to run."""
    weights = args.weights / "resnet18_imagenet.safetensors"
    own = {
        "ants": {
            "data.dir": args.data / "ants_bees",
            "data.splits.test": "val",
            "data.resize": 256,
            "data.crop": 224,
            "data.size": 224,
            "strategy.name": "linear_probe",
            "optimizer.lr": 0.001,
            "optimizer.weight_decay": 0.0,
            "train.epochs": 10.0,
            "train.batch_size": 16,
        },
        "cifar": {
            "data.dir": args.data / "cifar10_4000",
            "data.size": 96,
            "strategy.name": "full",
            "optimizer.lr": 0.01,
            "train.epochs": 1.0,
            "train.batch_size": 64,
        },
    }
    both = {"data.source": "image_folder", "data.augment": False, "data.train_examples": 0}
    both |= {"data.cache": "disk", "writers": "()", "report": "none", "train.eval_batch_size": 64}
    keys = both | {"model.weights": weights} | own[job]
    ours = ["main.py", "--config=configs/cifar10_4000.py", *(f"--config.{key}={value}" for key, value in keys.items())]
    theirs = [str(HERE / "torch_jobs.py"), job, f"--data={args.data}", f"--weights={args.weights}"]
    return ours, theirs


def measured(command: list[str], cache: str) -> dict[str, float]:
    """What a command took, as the system counts it for the process and its children."""
    begin = time.perf_counter()
    environment = os.environ | {"TLJAX_CACHE": cache, "PYTHONPATH": str(HERE.parent)}
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen([sys.executable, *command], stdout=output, stderr=output, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            output.seek(0)
            raise SystemExit(f"{' '.join(command)} ended with {status}:\n{output.read().decode()[-2000:]}")
    size = 1 if sys.platform == "darwin" else 1024
    seconds = time.perf_counter() - begin
    return {"cpu": usage.ru_utime + usage.ru_stime, "wall": seconds, "mb": usage.ru_maxrss * size / 1e6}


def round_of(job: str, args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """One round: ours cold, theirs, ours again with another seed."""
    ours, theirs = commands(job, args)
    with tempfile.TemporaryDirectory() as folder:
        cache = str(Path(folder, "cache"))
        runs = [[*ours, f"--config.seed={seed}", f"--workdir={Path(folder, str(seed))}"] for seed in (0, 1)]
        return {
            "cold": measured(runs[0], cache),
            "torch": measured(theirs, cache),
            "second seed": measured(runs[1], cache),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of ants_bees and cifar10_4000")
    parser.add_argument("--weights", type=Path, required=True, help="the folder of resnet18_imagenet.safetensors")
    parser.add_argument("--jobs", nargs="+", default=("ants", "cifar"), choices=("ants", "cifar"))
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    print(
        f"{'job':20}"
        + "".join(f"{name:>28}" for name in ("cpu s (range)", "wall s (range)", "MB (range)", "torch cpu / ours"))
    )
    for job in args.jobs:
        rounds = [round_of(job, args) for _ in range(args.rounds)]
        for kind in rounds[0]:
            cells = []
            for figure in FIGURES:
                values = [one[kind][figure] for one in rounds]
                cells.append(f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})")
            ratio = statistics.median(one["torch"]["cpu"] / one[kind]["cpu"] for one in rounds)
            print(f"{job + ', ' + kind:20}" + "".join(f"{cell:>28}" for cell in [*cells, f"{ratio:.2f}"]), flush=True)


if __name__ == "__main__":
    main()
