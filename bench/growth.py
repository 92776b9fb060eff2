"""What grows with the number of examples and of classes: seconds of processor time for each part of a run's beginning
and end, at several sizes, and the power of the size that fits them (1: linear).

    python bench/growth.py
    python bench/growth.py --examples 1000 10000 50000 --classes 10 1000 10000 --plot growth.svg

listing: class folders, two empty files a class (`image_folder.load`). splitting: `splits.choose` by shares. drawing:
`draws.mask` of groups of four examples. evaluating: one batch of 256 logits, from the device to the sums.
summing up: the task's metrics of a part from them. page: the tables that a run's page shows.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from configs import default
from tljax.core import settings
from tljax.data.parts import draws, splits
from tljax.data.sources import image_folder
from tljax.reporting import measures
from tljax.tasks import classification

BATCH = 256


def seconds(function: Callable[[], object], rounds: int) -> float:
    """Processor time of a call: the median over rounds."""
    times = []
    for _ in range(rounds):
        begin = time.process_time()
        function()
        times.append(time.process_time() - begin)
    return float(np.median(times))


def of_classes(classes: int, rounds: int) -> dict[str, float]:
    """A row of the table: parts whose size is the number of classes."""
    with tempfile.TemporaryDirectory() as folder:
        for k in range(classes):
            place = Path(folder, f"class{k:05d}")
            place.mkdir()
            for i in range(2):
                (place / f"{i}.jpg").touch()
        config = default.get_config()
        config.data.source, config.data.dir, config.data.fractions = "image_folder", folder, (0.5, 0.0, 0.5)
        config = settings.resolve(config)[0].data
        listing = seconds(lambda: image_folder.load(config), rounds)
        dataset = image_folder.load(config)
        splitting = seconds(lambda: splits.choose(dataset, config, 0), rounds)
    draw = np.random.default_rng(0)
    logits = jax.device_put(draw.normal(size=(BATCH, classes)).astype(np.float32))
    label = draw.integers(0, classes, BATCH).astype(np.int32)
    batch = {"label": label, "mask": np.ones(BATCH, bool)}
    step = jax.jit(classification.totals)
    totals = jax.device_get(step(logits, batch))
    outcome = measures.Outcome([str(k) for k in range(classes)], label, np.asarray(logits))
    return {
        "listing": listing,
        "splitting": splitting,
        "evaluating": seconds(lambda: jax.device_get(step(logits, batch)), rounds),
        "summing up": seconds(lambda: classification.summarize(totals), rounds),
        "page": seconds(lambda: (measures.per_class(outcome), measures.confused(outcome, 10)), rounds),
    }


def of_examples(examples: int, rounds: int) -> dict[str, float]:
    """A row of the table: parts whose size is the number of examples."""
    draw = np.random.default_rng(0)
    strata, groups = draw.integers(0, 10, examples).astype(np.int32), np.arange(examples) // 4
    return {
        "drawing": seconds(lambda: draws.mask(strata, 0, 1, share=0.2), rounds),
        "drawing groups": seconds(lambda: draws.mask(strata, 0, 1, share=0.2, groups=groups), rounds),
        "first of each": seconds(lambda: draws.first_of_each(strata, examples // 2, 0), rounds),
    }


def report(what: str, sizes: list[int], rows: list[dict[str, float]]) -> dict[str, list[float]]:
    """Print a line a part: milliseconds at each size, and the power between the two largest sizes."""
    print(f"{what:16}" + "".join(f"{size:>12}" for size in sizes) + f"{'power':>8}")
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    for name, times in columns.items():
        power = np.log(times[-1] / times[-2]) / np.log(sizes[-1] / sizes[-2]) if min(times[-2:]) > 0 else float("nan")
        print(f"{name:16}" + "".join(f"{1e3 * value:12.2f}" for value in times) + f"{power:8.2f}")
    return columns


def plot(curves: dict[str, tuple[list[int], dict[str, list[float]]]], file: Path) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(curves), figsize=(5 * len(curves), 4), layout="constrained", squeeze=False)
    for axis, (what, (sizes, columns)) in zip(axes[0], curves.items(), strict=True):
        for name, times in columns.items():
            axis.loglog(sizes, times, marker="o", label=name)
        axis.set(xlabel=what, ylabel="seconds of processor time")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    figure.savefig(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, nargs="+", default=[1000, 10_000, 50_000])
    parser.add_argument("--classes", type=int, nargs="+", default=[10, 1000, 10_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plot", type=Path, help="a picture of the curves")
    args = parser.parse_args()
    print("milliseconds of processor time, and the power of the size between the last two")
    curves = {}
    for what, sizes, measure in (("examples", args.examples, of_examples), ("classes", args.classes, of_classes)):
        curves[what] = sizes, report(what, sizes, [measure(size, args.rounds) for size in sizes])
    if args.plot:
        plot(curves, args.plot)


if __name__ == "__main__":
    main()
