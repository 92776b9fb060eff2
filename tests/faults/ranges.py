"""Faults of numbers: cases 29 to 33, and 7, 9, 13 of issue 13."""

import json

import numpy as np
import orbax.checkpoint as ocp

from tests import small
from tests.faults.making import (
    DIGITS,
    FULL,
    PICTURES,
    WEIGHTS,
    Fault,
    Scene,
    arrays,
    pictures,
    with_pictures,
    with_weights,
)  # fmt: skip


def nan_in(name: str):
    def change(tensors):
        tensors[name] = np.full_like(tensors[name], np.nan)
        return tensors

    return change


def only_finite_states(scene: Scene) -> None:
    """What was not finite is noted, and every array that is kept is finite."""
    noted = json.loads((scene.root / "run/diverged.json").read_text())
    assert [entry["step"] for entry in noted] and "features" in noted[0]["not finite"]
    for folder in (scene.root / "run/checkpoints/latest").glob("[0-9]*"):
        with ocp.StandardCheckpointer() as reader:
            kept = reader.restore(folder / "state")
        assert len(kept) > 8 and all(np.isfinite(x).all() for x in kept.values())
        assert int(folder.name) < noted[0]["step"]


DIVERGING = [
    *DIGITS,
    "--config.train.epochs=16",
    "--config.train.checkpoint_epochs=1",
    "--config.optimizer.kwargs={}",
    "--config.optimizer.lr=3",
]


def black(folder):
    for file in folder.rglob("*.png"):
        file.write_bytes((folder / "train/ant/0.png").read_bytes())


def frozen(scene: Scene) -> list[str]:
    with_weights(dict)(scene)
    return [*DIGITS, *FULL[1:], "--config.strategy.name=linear_probe", "--config.optimizer.weight_decay=0.1"]


def backbone_is_as_published(scene: Scene) -> None:
    import safetensors.numpy

    saved = safetensors.numpy.load_file(scene.root / "run/model/model.safetensors")
    backbone = {name: x for name, x in arrays("small").items() if not name.startswith("fc.")}
    assert len(backbone) >= 6
    assert small.bits({name: saved[name] for name in backbone}) == small.bits(backbone)


def one_value(scene: Scene) -> list[str]:
    """A batch of one on maps of 1 x 1: BatchNorm over one value."""
    import jax

    from tljax.networks.families import resnet

    one = jax.devices()[:1]
    scene.patch.setitem(resnet.VARIANTS, "tiny", small.TINY)
    scene.patch.setattr("tljax.training.parallel.jax.devices", lambda: one)
    pictures(scene.root, {"train/ant": 6, "train/bee": 6, "test/ant": 2, "test/bee": 2})
    return [
        *PICTURES, "--config.model.family=resnet", "--config.model.variant=tiny", "--config.groups={}",
        "--config.train.batch_size=1",
    ]  # fmt: skip


CASES = {
    "29 a loss that is not finite": Fault(
        DIVERGING, 1, ["loss must be finite", "step", "Lower config.optimizer.lr"], only_finite_states, writes=True
    ),
    "30 a loss that runs away": Fault(
        [*DIGITS, "--config.train.epochs=30", "--config.optimizer.lr=1"],
        0,
        ["the training loss runs away", "the lowest was", "The weights of group", "config.optimizer.clip"],
    ),
    "31 weights that are not finite": Fault(with_weights(nan_in("conv2.weight")), WEIGHTS, ["conv2.weight", "finite"]),
    "32 black pictures": Fault(with_pictures(black), 0, ["copies", "result:"]),
    "32 BatchNorm over one value": Fault(one_value, 2, ["BatchNorm"], writes=True),
    "33 a frozen group": Fault(frozen, 0, ["result:"], backbone_is_as_published),
}
