"""Faults of the process: cases 1 to 7, 17, 18, 22, 25, 27, and 14 to 17 of issue 13."""

import os
import signal
import subprocess
import sys
import time
from typing import Any

import filelock

from tests.faults.making import CONFIG, DIGITS, Fault, Scene, run
from tests.small import saved_bits

SHORT = [*DIGITS, "--config.train.epochs=4", "--config.train.checkpoint_epochs=1"]

UNDISTURBED: dict[str, Any] = {}  # what a run that nobody disturbs leaves, once it has been made

CHECKPOINTS = "tljax.training.checkpoints.checkpoint.Checkpoints"


def sent(owner: str, name: str, number: int, *signals: int):
    """The run, in which before the n-th call of a method signals come."""

    def make(scene: Scene) -> list[str]:
        import importlib

        module, _, attribute = owner.rpartition(".")
        place = getattr(importlib.import_module(module), attribute)
        method, left = getattr(place, name), [number]

        def sending(*args, **kwargs):
            left[0] -= 1
            if left[0] == 0:
                for one in signals:
                    os.kill(os.getpid(), one)
            return method(*args, **kwargs)

        scene.patch.setattr(place, name, sending)
        return SHORT

    return make


def goes_on(scene: Scene) -> None:
    """The same command ends bit-equal to a run that nobody disturbed, and its log has every step once."""
    scene.patch.undo()
    scene.patch.chdir(scene.root)
    scene.patch.setattr("tljax.cli.keep_compiled", lambda: None)
    run(scene, SHORT)
    if not UNDISTURBED:
        run(scene, [word.replace("=run", "=run2") for word in SHORT])
        UNDISTURBED["bits"] = saved_bits(scene.root / "run2")
        UNDISTURBED["log"] = (scene.root / "run2/metrics.jsonl").read_text()
    assert saved_bits(scene.root / "run") == UNDISTURBED["bits"]
    assert (scene.root / "run/metrics.jsonl").read_text() == UNDISTURBED["log"]
    assert not list((scene.root / "run").rglob("*tmp*"))


def locked(scene: Scene) -> list[str]:
    (scene.root / "run").mkdir()
    code = (
        "import filelock, time; lock = filelock.FileLock('run/.lock'); lock.acquire(); print('held', flush=True); "
        "time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", code], cwd=scene.root, stdout=subprocess.PIPE)
    assert other.stdout is not None and other.stdout.readline() == b"held\n"
    scene.request.addfinalizer(lambda: (other.kill(), other.wait(), other.stdout.close()))
    return SHORT


def stale_lock(scene: Scene) -> list[str]:
    """A lock that a killed process left."""
    run(scene, SHORT)
    (scene.root / "run/result.json").unlink()
    assert (scene.root / "run/.lock").exists() or filelock
    return SHORT


def finished(scene: Scene) -> list[str]:
    run(scene, SHORT)
    scene.patch.setattr("tljax.training.train_loop.Loop.fit", None)
    return SHORT


def wild_clock(scene: Scene) -> list[str]:
    """The wall clock jumps by an hour at every look, back and forth."""
    now, turn = time.time, [1.0]

    def jumping():
        turn[0] = -turn[0]
        return now() + 3600 * turn[0]

    scene.patch.setattr(time, "time", jumping)
    return SHORT


def seconds_are_right(scene: Scene) -> None:
    from tests.faults.making import result

    assert all(0 <= value < 600 for value in result(scene)["seconds"].values())


def hanging(scene: Scene) -> list[str]:
    """A step that takes long: where it hangs is written down."""
    from tljax.reporting import watchdog
    from tljax.reporting.report import Report

    scene.patch.setattr(watchdog, "PATIENCE", 0.6)
    scene.patch.setattr(watchdog, "TIMES", 0.0)  # compiling counts as a step
    advance, left = Report.advance, [3]

    def slow(report, step):
        left[0] -= 1
        if left[0] == 0:
            time.sleep(1.2)
        advance(report, step)

    scene.patch.setattr(Report, "advance", slow)
    return SHORT


def stacks_are_written(scene: Scene) -> None:
    assert "time.sleep" in (text := (scene.root / "run/stacks.txt").read_text()) or "in slow" in text


def without_tensorflow(scene: Scene) -> None:
    assert "tensorflow" not in sys.modules


CASES = {
    "1 SIGTERM between steps": Fault(
        sent("tljax.reporting.report.Report", "advance", 5, signal.SIGTERM),
        143,
        ["stopped by SIGTERM; the same command starts again"],
        goes_on,
        writes=True,
    ),
    "2 SIGTERM while the first step compiles": Fault(
        sent("tljax.training.parallel.Program", "compiled", 1, signal.SIGTERM),
        143,
        ["stopped by SIGTERM"],
        goes_on,
        writes=True,
    ),
    "3 a second SIGTERM during the save": Fault(
        sent(
            CHECKPOINTS,
            "save",
            2,
            signal.SIGTERM,
            signal.SIGTERM,
            signal.SIGINT,
        ),
        143,
        ["stopped by SIGTERM"],
        goes_on,
        writes=True,
    ),
    "4 Ctrl-C": Fault(
        sent("tljax.reporting.report.Report", "advance", 4, signal.SIGINT),
        130,
        ["stopped by SIGINT; the same command starts again, a run from its last checkpoint if it has one"],
        goes_on,
        writes=True,
    ),
    "5 SIGUSR1": Fault(sent("tljax.reporting.report.Report", "advance", 4, signal.SIGUSR1), 0, ["result:"], goes_on),
    "17 two runs in one folder": Fault(locked, CONFIG, ["another is at work in 'run'"], writes=True),
    "17 a lock that a killed run left": Fault(stale_lock, 0, ["result:"]),
    "18 a finished run": Fault(finished, 0, ["already finished, result:"]),
    "22 a clock that jumps": Fault(wild_clock, 0, ["result:"], seconds_are_right),
    "25 the memory of a GPU": Fault(SHORT, 0, ["result:"], without_tensorflow),
    "27 a step that hangs": Fault(hanging, 0, ["stacks.txt"], stacks_are_written),
}
