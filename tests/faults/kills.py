"""Runs of every strategy that are killed, or asked to end, at any time, and go on to the same end."""

import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp
import safetensors.numpy

from tests.faults.making import DIGITS, FULL, arrays
from tests.faults.zygote import Zygote
from tests.small import bits, saved_bits
from tljax.core import plugins
from tljax.networks.families import vit
from tljax.training.checkpoints.checkpoint import opened

KINDS = [name for name in plugins.available("strategies") if name not in ("auto", "scratch")]
VIT = vit.Variant(patch=4, width=192, heads=3, depth=2)  # of this width `auto` knows the heads
TEACHER = "full"  # the strategy of the run that `distill` learns from
ON_VIT = ("--config.model.family=vit", "--config.model.variant=auto", "--config.groups={}")
# LeNet has neither norms nor tokens.
NEEDS = {"distill": ("--config.strategy.teachers=('teacher',)",), "norm_only": ON_VIT, "vpt": ON_VIT}
MOST = 12  # kills of one run, after which it is left in peace
LOG = "metrics.jsonl"


class Killed:
    """The runs of one strategy in a folder of their own."""

    def __init__(self, zygote: Zygote, strategy: str, folder: Path, *more: str, page: bool = False) -> None:
        """`more`: keys; `page`: whether each run draws its page, which takes as long as the rest of it."""
        self._zygote, self.folder = zygote, folder
        folder.mkdir(parents=True)
        weights = arrays(VIT, vit) if NEEDS.get(strategy) is ON_VIT else arrays("small")
        safetensors.numpy.save_file(weights, folder / "net.safetensors")
        shared = [
            *(word for word in DIGITS if "strategy" not in word), *FULL[1:],
            "--config.train.epochs=4", "--config.train.checkpoint_epochs=0.4", "--config.optimizer.ema=0.5",
            "--config.data.validation=0.2", "--config.train.eval_epochs=1", "--config.optimizer.lr=0.01",
            *(() if page else ("--config.report=none",)), *more,
        ]  # fmt: skip
        if strategy == "distill":
            self.arguments = [*shared, f"--config.strategy.name={TEACHER}"]
            self.run("teacher")
        self.arguments = [*shared, f"--config.strategy.name={strategy}", *NEEDS.get(strategy, ())]
        if strategy == "classic":
            self.arguments = [word for word in self.arguments if "ema" not in word]
        first = self.run("whole")
        assert first["code"] == 0, first["said"]
        self.seconds = first["seconds"]
        self.whole = self.kept("whole")

    def run(self, name: str, **more: Any) -> dict[str, Any]:
        return self._zygote.run([*self.arguments, f"--workdir={name}"], self.folder, log=f"{name}/{LOG}", **more)

    def kept(self, name: str) -> tuple[Any, ...]:
        """What must be the same: every bit of the model, every line of the log, every bit of the last checkpoint."""
        log = self.folder / name / LOG
        return saved_bits(self.folder / name), log.read_text() if log.exists() else "", last_state(self.folder / name)

    def check(self, name: str) -> str:
        """What is wrong with a run that went on; "" if nothing is."""
        pairs = zip(("bits", "log", "last checkpoint"), self.kept(name), self.whole, strict=True)
        left = [str(path) for path in (self.folder / name).rglob("*") if ".part" in path.name or "-tmp-" in path.name]
        return ", ".join([what for what, now, whole in pairs if now != whole] + ([f"left over {left}"] if left else []))

    def until_done(self, name: str, draw: random.Random, *, most: int = MOST) -> tuple[int, str]:
        """Start again and again, each time killed at a time that is drawn: (kills that hit, what is wrong)."""
        kills = 0
        for turn in range(most + 1):
            after = draw.uniform(0.15, 1.0) * self.seconds if turn < most else None
            done = self.run(name, after=after)
            if "Traceback" in done["said"]:
                return kills, done["said"][-2000:]
            if done["code"] == 0:
                self.seconds = min(self.seconds, done["seconds"])  # the first one compiled
                if kills or turn == most:
                    break
                shutil.rmtree(self.folder / name)  # it was over before the kill: once more
                continue
            if done["code"] != -9:
                return kills, f"code {done['code']}: {done['said'][-2000:]}"
            kills += 1
        wrong = self.check(name)
        shutil.rmtree(self.folder / name)
        return kills, wrong

    def killed_at(self, name: str, steps: Sequence[int]) -> str:
        """What is wrong with a run that was killed when its log had these steps; "" if nothing is."""
        for step in steps:
            done = self.run(name, step=step)
            if done["code"] != -9:
                return f"at step {step} code {done['code']}: {done['said'][-2000:]}"
        done = self.run(name)
        return self.check(name) if done["code"] == 0 else f"code {done['code']}: {done['said'][-2000:]}"


def last_state(folder: Path) -> dict[str, bytes]:
    """The bits of every leaf of the last checkpoint, optimizer state and all; {} if the run keeps none."""
    return bits(kept_state(folder)) if (folder / "checkpoints/latest").is_dir() else {}


def kept_state(folder: Path) -> Any:
    """The state in the last checkpoint."""
    with opened(folder / "checkpoints") as checkpoints:
        reader = checkpoints._managers["latest"]
        return reader.restore(None, args=ocp.args.Composite(state=ocp.args.PyTreeRestore()))["state"]
