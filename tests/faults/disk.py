"""Faults of disks, folders, checkpoints and devices: cases 6 to 16, 19 to 24, and 16 to 18 of issue 13."""

import errno
import json
import os
import shutil
from pathlib import Path

import jax

from tests.faults.interrupts import SHORT, goes_on
from tests.faults.making import CONFIG, DATA, DEVICE, WEIGHTS, Fault, Scene, result, run

LATEST = "run/checkpoints/latest"


def cut_off(scene: Scene, *, at: int = 9) -> None:
    """A run that was killed after so many steps, with checkpoints."""
    from tljax.reporting.report import Report

    advance = Report.advance

    def cut(report, step):
        advance(report, step)
        if step == at:
            raise KeyboardInterrupt

    with scene.patch.context() as patch:
        patch.setattr(Report, "advance", cut)
        run(scene, SHORT, 130)
    assert steps(scene)


def steps(scene: Scene) -> list[Path]:
    """The folders of the latest checkpoints, newest first."""
    return sorted((scene.root / LATEST).glob("[0-9]*"), key=lambda path: -int(path.name))


def data_file(folder: Path) -> Path:
    return max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def harmed(harm, *, every: bool = False):
    """The run goes on after `harm` of a file of the newest checkpoint, or of every one."""

    def make(scene: Scene) -> list[str]:
        cut_off(scene)
        for folder in steps(scene) if every else steps(scene)[:1]:
            harm(data_file(folder))
        return SHORT

    return make


def half_saved(scene: Scene) -> list[str]:
    """What a kill during a save leaves: a checkpoint without checksums, orbax's own folder, half a file."""
    cut_off(scene)
    (steps(scene)[0] / "checksums.json").unlink()
    (scene.root / LATEST / "9.orbax-checkpoint-tmp-1").mkdir()
    (scene.root / "run/config.json.part77").write_text("{")
    return SHORT


def half_logged(scene: Scene) -> list[str]:
    """Lines behind the last checkpoint, the last of them cut off."""
    cut_off(scene)
    with (scene.root / "run/metrics.jsonl").open("a") as file:
        file.write('{"step": 9, "part": "train", "loss": 1.0}\n{"step": 10, "pa')
    return SHORT


def of_another_network(scene: Scene) -> list[str]:
    cut_off(scene)
    for folder in steps(scene):
        rewrite(folder, lambda note: note["leaves"].update({"params.head.bias": "float32[7]"}))
    return SHORT


def of_the_future(scene: Scene) -> list[str]:
    cut_off(scene)
    for folder in steps(scene):
        rewrite(folder, lambda note: note.update(tljax="99.1"))
    return SHORT


def rewrite(folder: Path, change) -> None:
    """A checkpoint's note changed, and its checksums with it."""
    from tljax.training.checkpoints import checksums

    file = folder / "note/metadata"
    note = json.loads(file.read_text())
    change(note)
    file.write_text(json.dumps(note))
    (folder / "checksums.json").write_text(json.dumps(checksums.of(folder)))


def other_config(scene: Scene) -> list[str]:
    cut_off(scene)
    return [*SHORT, "--config.seed=3", "--config.optimizer.lr=0.5"]


def full_disk(scene: Scene) -> list[str]:
    """The disk takes one checkpoint, and no second one."""
    from tljax.core import atomic

    sync, left = atomic.sync, [3]  # a save asks for its folder twice

    def refused(place, **more):
        left[0] -= place.parent.name == "latest"
        if place.parent.name == "latest" and left[0] == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(place))
        sync(place, **more)

    scene.patch.setattr(atomic, "sync", refused)
    return SHORT


def one_is_whole(scene: Scene) -> None:
    assert [path.name for path in steps(scene) if (path / "checksums.json").exists()] == ["2"]
    goes_on(scene)


SYNCED: set[int] = set()  # inodes that the disk was asked to hold


def noting_syncs(scene: Scene) -> list[str]:
    fsync = os.fsync

    def noting(number):
        SYNCED.add(os.fstat(number).st_ino)
        fsync(number)

    SYNCED.clear()
    scene.patch.setattr(os, "fsync", noting)
    return SHORT


def all_on_disk(scene: Scene) -> None:
    """Every file and folder of a checkpoint, of model/ and what is read again, before it counts."""
    kept = [path for folder in steps(scene) for path in (folder, *folder.rglob("*"))]
    kept += [scene.root / "run" / name for name in ("result.json", "config.json", "inputs.json", "metrics.jsonl")]
    kept += [*(scene.root / "run/model").iterdir()]
    assert len(kept) > 10 and [str(path) for path in kept if path.stat().st_ino not in SYNCED] == []


def little_room(scene: Scene) -> list[str]:
    usage = shutil.disk_usage(scene.root)._replace(free=1000)
    scene.patch.setattr(shutil, "disk_usage", lambda _: usage)
    return SHORT


def foreign(scene: Scene) -> list[str]:
    (scene.root / "run/model").mkdir(parents=True)
    (scene.root / "run/model/thesis.txt").write_text("mine")
    return SHORT


def long_name(scene: Scene) -> list[str]:
    place = f"a run of Größe 3/{'x' * 200}"
    return [*SHORT[:-1], "--config.train.checkpoint_epochs=9", f"--workdir={place}"]


def of_the_home(scene: Scene) -> list[str]:
    scene.patch.setenv("HOME", str(scene.root / "home"))
    return [*SHORT, "--workdir=~/run"]


def in_the_home(scene: Scene) -> None:
    assert (scene.root / "home/run/result.json").exists() and not (scene.root / "~").exists()


def a_link(scene: Scene) -> list[str]:
    (scene.root / "real").mkdir()
    os.symlink(scene.root / "real", scene.root / "linked")
    return [*SHORT, "--workdir=linked"]


def no_memory(scene: Scene) -> list[str]:
    from tljax.training.parallel import Program

    def fail(*args, **kwargs):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 68719476736 bytes.")

    scene.patch.setattr(Program, "compiled", fail)
    return SHORT


def spoiled(name: str, content: bytes):
    """The run goes on after a file beside the state was spoiled."""

    def make(scene: Scene) -> list[str]:
        cut_off(scene)
        (scene.root / "run" / name).write_bytes(content)
        return SHORT

    return make


def the_whole_run(scene: Scene) -> None:
    assert result(scene)["step"] == 10


CASES = {
    "6 a kill during a save": Fault(half_saved, 0, ["is incomplete", "result:"], goes_on),
    "7 a kill between save and log": Fault(half_logged, 0, ["result:"], goes_on),
    "8 a power cut": Fault(noting_syncs, 0, ["result:"], all_on_disk),
    "9 a bit flipped in the newest": Fault(
        harmed(flip), 0, ["A damaged checkpoint is left out, the one before it is used"], goes_on
    ),
    "9 a bit flipped in every one": Fault(
        harmed(flip, every=True), WEIGHTS, ["No checkpoint in", "not as they were written", "--workdir"], writes=True
    ),
    "10 a file cut": Fault(
        harmed(lambda path: path.write_bytes(path.read_bytes()[:100])), 0, ["A damaged checkpoint"], goes_on
    ),
    "10 a file gone": Fault(harmed(Path.unlink), 0, ["A damaged checkpoint is left out"], goes_on),
    "11 of another network": Fault(
        of_another_network, WEIGHTS, ["it is of another network", "params.head.bias: float32[7]"], writes=True
    ),
    "12 of another config": Fault(
        other_config, CONFIG, ["belongs to a run with another config", "optimizer.lr: 0.1 -> 0.5", "seed: 0 -> 3"]
    ),
    "13 of a newer tljax": Fault(of_the_future, WEIGHTS, ["was written by tljax 99.1, and this is"], writes=True),
    "14 the disk is full": Fault(
        full_disk, WEIGHTS, ["checkpoint at step 5 could not be written", "Make room"], one_is_whole, writes=True
    ),
    "15 not enough room": Fault(
        little_room, WEIGHTS, ["must have room for the checkpoints: 3 of", "are free"], writes=True
    ),
    "16 a place that takes no files": Fault([*SHORT, "--workdir=/proc/run"], CONFIG, ["/proc", "--workdir"]),
    "19 a folder of somebody else": Fault(foreign, CONFIG, ["must not overwrite other files", "model"]),
    "20 spaces, umlauts, 200 letters": Fault(long_name, 0, ["result:"]),
    "21 the home folder": Fault(of_the_home, 0, ["result:"], in_the_home),
    "21 a link": Fault(a_link, 0, ["result:"], lambda scene: result(scene, "real")),
    "21 an address of no kind": Fault([*SHORT, "--workdir=nowhere://b/run"], DATA, ["'nowhere://b/run' is not: "]),
    "21 this machine's address": Fault([*SHORT, "--workdir=file:///tmp/x"], CONFIG, ["named by its path alone"]),
    "23 no memory": Fault(
        no_memory, DEVICE,
        ["must fit into memory", "68719476736", "train.batch_size", "optimizer.accumulate", "model.remat"], writes=True,
    ),
    "24 no accelerator": Fault(
        [*SHORT, "--require", "gpu"], DEVICE, ["--require gpu: jax must compute on a gpu, and finds 4 x cpu"]
    ),
    "24 an accelerator of no kind": Fault(
        [*SHORT, "--require", "npu"], CONFIG, ["--require must be one of cpu, gpu, tpu; got 'npu'"]
    ),
    "24 the device is said": Fault([*SHORT, "--require=cpu"], 0, ["computes on 4 x cpu (cpu)"]),
    "16 a log that is cut": Fault(spoiled("metrics.jsonl", b'{"step": 1, "pa'), 0, ["result:"], the_whole_run),
    "16 a log of holes": Fault(spoiled("metrics.jsonl", b"\0" * 500), 0, ["result:"], the_whole_run),
    "16 a config that is cut": Fault(spoiled("config.json", b"[]"), DATA, ["config.json"], writes=True),
}  # fmt: skip
