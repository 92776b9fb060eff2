"""A process of a run, as a cluster starts it: `processes.py PLACE FOLDER KIND`; see runs/test_several_processes.py."""

import json
import sys
from pathlib import Path

import numpy as np
import small
from ml_collections import ConfigDict

from tljax.cli import guarded, keep_compiled
from tljax.commands import lr_find, score
from tljax.core.processes import agreement, joining
from tljax.networks.families import resnet
from tljax.runs.run import run

resnet.VARIANTS["tiny"] = small.TINY
SPLIT = {"data__fractions": (0.3, 0.1, 0.6), "train__epochs": 2.0, "train__batch_size": 40}


def with_norms(**changes):
    """A network with BatchNorm, whose statistics are of the whole batch."""
    one = small.config(model__family="resnet", model__variant="tiny", data__size=16, **SPLIT | changes)
    one.groups = ConfigDict({"low": "stem", "high": "stage1..stage2", "head": "head"}, sort_keys=False)
    one.optimizer.lr, one.report = 0.02, "none"
    return one


def long():
    return with_norms(train__epochs=40.0, train__checkpoint_epochs=40.0)


def experiments(folder):
    """Name -> config, in the order in which they run; some begin with the network of the first."""
    weights = {"model__weights": str(folder / "norms" / "model"), "data__in_memory": False}
    # In several processes a state in four parts, frozen leaves too; alone it is on every device.
    parts = {"mesh__fsdp": 4, "mesh__rules": (("backbone.*kernel", 3),)} if agreement.count() > 1 else {}
    yield "norms", with_norms(train__minutes=60.0)  # all steps fit; they are measured together
    yield "phases", with_norms(strategy__name="gradual_unfreeze", **weights, **parts)
    yield "lora", with_norms(strategy__name="lora", optimizer__accumulate=2, **weights)
    yield "cached", with_norms(strategy__name="linear_probe", **weights)
    yield "fitted", with_norms(strategy__name="classic", **weights)


def runs(kind, folder):
    """What a process does: all experiments; a long run; or one in which process 1 has no weights."""
    if kind == "all":
        yield from experiments(folder)
    elif kind == "long":
        yield "long", long()
    elif kind == "soak":
        yield "soak", with_norms(train__epochs=30.0, train__checkpoint_epochs=3.0)
    else:
        here = "nowhere.safetensors" if agreement.index() else ""
        yield "failing", with_norms(strategy__name="full" if here else "scratch", model__weights=here)


def asked(folder):
    """What other verbs find with the network of the first experiment, as process 0 has it."""
    config = with_norms(strategy__name="full", model__weights=str(folder / "norms" / "model"))
    scores = {name: x for name, x in score.score(config).items() if not name.endswith(" s")}
    losses = lr_find.sweep(config, "all", np.geomspace(1e-4, 1e-2, 12).tolist())["all"].losses
    if agreement.first():
        (folder / "asked.json").write_text(json.dumps({"scores": scores, "losses": losses}))


def main(place, folder, kind="all"):
    arguments = [f"--distributed={place}"] if place else []

    def begin():
        joining.join(arguments)
        keep_compiled()
        for name, config in runs(kind, folder):
            run(config, folder / name)
        if kind == "all":
            asked(folder)
        print("all", agreement.count())

    return guarded(begin)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
