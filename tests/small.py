"""Small real runs for tests: digits, LeNet or a ResNet of two blocks, seconds each."""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from configs import digits
from tljax.models import resnet

TINY = resnet.Variant((1, 1), bottleneck=False, width=8)


def config(**changes: Any) -> Any:
    """One run on digits: "data__size"=16 sets data.size."""
    one = digits.get_config()
    one.suite.rows, one.suite.first, one.suite.seeds = ConfigDict(), (), (0,)
    one.strategy.name = "scratch"
    one.train.update(epochs=2.0, batch_size=20, eval_batch_size=64, log_steps=1, checkpoint_epochs=1.0)
    for key, value in changes.items():
        *parents, last = key.split("__")
        node = one
        for parent in parents:
            node = node[parent]
        node[last] = value
    return one


def resnet_config(monkeypatch: Any, **changes: Any) -> Any:
    """The same with a tiny ResNet, so that there is BatchNorm."""
    monkeypatch.setitem(resnet.VARIANTS, "tiny", TINY)
    one = config(model__family="resnet", model__variant="tiny", data__size=16)
    one.groups = ConfigDict({"low": "stem", "high": "stage1..stage2", "head": "head"}, sort_keys=False)
    one.strategy.scales = ConfigDict({"low": 0.1, "high": 1.0, "head": 1.0}, sort_keys=False)
    one.optimizer.lr = 0.02
    for key, value in changes.items():
        *parents, last = key.split("__")
        node = one
        for parent in parents:
            node = node[parent]
        node[last] = value
    return one


def losses(folder: Path) -> np.ndarray:
    """The training losses in a run's log, in order."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return np.array([row["loss"] for row in rows if row["part"] == "train"])


def bits(tree: Any) -> dict[str, bytes]:
    """Every leaf's bytes by its path: what must be equal where "the same" means bit-equal."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): np.asarray(leaf).tobytes() for path, leaf in leaves}
