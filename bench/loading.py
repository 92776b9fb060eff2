"""How long weights take to load, and how much memory, from the import of tljax to variables that a step can take.

    python bench/loading.py
    python bench/loading.py --variants resnet:50 vit:base16 vgg:16 --rounds 5

Medians over rounds, each a process for the time and another for the memory, since looking at it takes time. The file
lies in the page cache, as after a first look at it; jax's backend and compiler have started.
Extra memory is the peak above what the process held before it loaded, over the size of the file: private memory alone,
and with the pages of the file that are mapped at that moment, which the system can take back at any time. The variables
themselves, which stay, are 1.0 of it.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

VARIANTS = ("resnet:18", "resnet:50", "vit:base16", "convnext:base", "vgg:16")
CLASSES, SIDE = 1000, 224
FIELDS = ("file MB", "read s", "place s", "total s", "CPU s", "private / file", "resident / file")


def network(family: str, variant: str) -> Any:
    from tljax.core.plugins import find
    from tljax.networks.network import Network
    from tljax.tasks import classification

    return Network(find("families", family).build(variant), classification.head(CLASSES))


def write(family: str, variant: str, folder: Path) -> Path:
    """A file as it is published, its numbers drawn at random."""
    import jax
    import numpy as np
    import safetensors.numpy

    from tljax.core.plugins import find
    from tljax.weights import placement

    example, rng = np.zeros((1, SIDE, SIDE, 3), np.float32), np.random.default_rng(0)
    empty = placement.shapes(network(family, variant), example)
    drawn = jax.tree.map(lambda leaf: rng.random(leaf.shape, np.float32), empty)
    file = folder / f"{family}-{variant}.safetensors"
    safetensors.numpy.save_file(placement.publish(drawn, find("families", family).names(variant)), file)
    return file


def resident() -> dict[str, int]:
    """Bytes of this process's private memory and of the files mapped into it."""
    rows = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    return {row[0]: int(row[1]) * 1024 for row in rows if row[0] in ("RssAnon:", "RssFile:")}


class Peak:
    """The most memory held while it is open, where `looks`, every millisecond."""

    def __init__(self, *, looks: bool) -> None:
        self.before, self.private, self.all, self._open = resident(), 0, 0, looks
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def _look(self) -> None:
        while self._open:
            now = resident()
            self.private = max(self.private, now["RssAnon:"] - self.before["RssAnon:"])
            self.all = max(self.all, sum(now.values()) - sum(self.before.values()))
            time.sleep(0.001)

    def __exit__(self, *_: object) -> None:
        self._open = False
        self._thread.join()


def load(family: str, variant: str, file: Path, *, looks: bool) -> dict[str, float]:
    """One load in this process, as `experiment.load` does it."""
    import jax
    import numpy as np

    from configs.default import get_config
    from tljax.core.plugins import find
    from tljax.weights import placement, pretrained

    config, module = get_config().model, find("families", family)
    config.family, config.variant, config.weights = family, variant, str(file)
    config.card.mean, config.card.std = (0.5,) * 3, (0.5,) * 3
    example, net = np.zeros((1, SIDE, SIDE, 3), np.float32), network(family, variant)
    jax.block_until_ready(jax.jit(jax.random.normal)(jax.random.key(0)))  # backend and compiler start, as for any step
    with Peak(looks=looks) as peak:
        begin, cpu = time.perf_counter(), time.process_time()
        published = pretrained.fetch(config, wanted=True).published
        read = time.perf_counter()
        variables, _ = placement.start(
            net,
            example,
            seed=0,
            published=published,
            names=module.names(variant),
            unused=module.UNUSED,
            adapt=getattr(module, "adapt", None),
        )
        end, cpu = time.perf_counter(), time.process_time() - cpu
    size = file.stat().st_size
    assert "head" in variables["params"]
    seconds = read - begin, end - read, end - begin, cpu
    return dict(zip(FIELDS, (size / 1e6, *seconds, peak.private / size, peak.all / size), strict=True))


def child(family: str, variant: str, file: Path, what: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", family, variant, str(file), what]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", nargs="+", default=VARIANTS, help="family:variant, several")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        family, variant, file, looks = args.child
        print(json.dumps(load(family, variant, Path(file), looks=looks == "looks")))
        return
    print("  ".join(["variant".ljust(16), *(field.rjust(12) for field in FIELDS)]))
    for name in args.variants:
        family, _, variant = name.partition(":")
        with tempfile.TemporaryDirectory() as folder:
            file = write(family, variant, Path(folder))
            rounds = [child(family, variant, file, "times") for _ in range(args.rounds)]
            looked = [child(family, variant, file, "looks") for _ in range(args.rounds)]
        medians = {
            field: statistics.median(one[field] for one in (looked if "/" in field else rounds)) for field in FIELDS
        }
        print("  ".join([name.ljust(16), *(f"{medians[field]:.2f}".rjust(12) for field in FIELDS)]), flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    main()
