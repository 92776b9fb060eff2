"""A real Slurm on this machine: a job is preempted twice and ends bit-equal; a failed row does not lose the others.

    python -m tests.cluster.slurm

It needs root, slurmctld, slurmd, slurm-client and munge (Debian's packages of these names); without them it is skipped.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
HERE = str(Path(__file__).parent / "slurm_here.sh")
NEEDS = ("slurmctld", "slurmd", "munged", "sbatch", "scontrol", "scancel")
ROW = ("digits", "--config.suite.only=scratch", "--config.suite.seeds=(0,)", "--config.report=none")
LONG = (
    *ROW,
    "--config.train.epochs=300.0",
    "--config.train.checkpoint_epochs=300.0",
    "--config.optimizer.lr=0.01",
    "--config.train.log_steps=1",
)
SHORT = ("--config.train.epochs=2.0", "--config.report=none")
ONE = "scratch/seed0"
DEADLINE = 240  # seconds of any job


def asked(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


def submit(folder: Path, *words: str) -> str:
    return asked("sbatch", "--parsable", f"--output={folder}/%A_%a.out", *words)


def wait(job: str) -> None:
    """Until the job has left the queue."""
    end = time.monotonic() + DEADLINE
    while asked("squeue", "--noheader", f"--jobs={job}", "--states=PENDING,RUNNING,COMPLETING"):
        assert time.monotonic() < end, f"job {job} has not ended in {DEADLINE} s"
        time.sleep(0.5)


def steps(run: Path) -> int:
    """The last step in a run's log."""
    log = run / "metrics.jsonl"
    lines = log.read_text().splitlines() if log.exists() else []
    return max((json.loads(line)["step"] for line in lines if line.endswith("}")), default=0)


def preempt(job: str, run: Path, out: Path) -> None:
    """SIGTERM to the job's processes, when they have gone on for some steps; then wait until it is requeued."""
    before, end = steps(run), time.monotonic() + DEADLINE
    while steps(run) < before + 20:
        assert time.monotonic() < end, f"no steps after {before}: {out.read_text()[-2000:]}"
        time.sleep(0.2)
    restarts = _restarts(job)
    asked("scancel", "--signal=TERM", job)
    while _restarts(job) == restarts:
        assert time.monotonic() < end, f"not requeued: {out.read_text()[-2000:]}"
        time.sleep(0.2)
    print(f"preempted after step {steps(run)}, and requeued", flush=True)


def _restarts(job: str) -> int:
    words = asked("scontrol", "--oneliner", "show", "job", job).split()
    return int(next(word for word in words if word.startswith("Restarts=")).partition("=")[2])


def preempted_twice(folder: Path) -> None:
    two, script = ("--ntasks=2", "--ntasks-per-node=2"), str(ROOT / "launch" / "slurm.sh")
    wait(submit(folder, *two, script, *LONG, f"--workdir={folder / 'whole'}"))
    job = submit(folder, *two, script, *LONG, f"--workdir={folder / 'preempted'}")
    out = folder / f"{job}_4294967294.out"
    preempt(job, folder / "preempted" / ONE, out)
    preempt(job, folder / "preempted" / ONE, out)
    wait(job)
    whole, preempted = (folder / name / ONE / "model" / "model.safetensors" for name in ("whole", "preempted"))
    assert whole.read_bytes() == preempted.read_bytes()
    print("the run that was preempted twice is bit-equal", flush=True)


def array(folder: Path) -> None:
    """A row that runs and one that does not exist, with two seeds."""
    suite, script = folder / "suite", str(ROOT / "launch" / "slurm_array.sh")
    words = (script, "digits", str(suite), "scratch nothing", "0 1", *SHORT)
    wait(submit(folder, "--array=0-3", *words))
    results = sorted(str(path.parent.relative_to(suite)) for path in suite.glob("*/*/result.json"))
    assert "scratch/seed0" in results and "scratch/seed1" in results, results
    assert not any(result.startswith("nothing") for result in results)
    before = {path: path.stat().st_mtime_ns for path in suite.glob("*/*/result.json")}
    wait(submit(folder, "--array=0", *words))
    assert before == {path: path.stat().st_mtime_ns for path in suite.glob("*/*/result.json")}
    table = asked(sys.executable, "-m", "tljax", "table", str(suite))
    assert "scratch" in table
    print("an array: a failed row loses no other, a finished one is skipped, one table", flush=True)


def main() -> int:
    missing = [name for name in NEEDS if not shutil.which(name)]
    if missing or os.geteuid() != 0:
        print(f"skipped: not here: {', '.join(missing)}" if missing else "skipped: slurmd needs root here")
        return 0
    folder = Path(tempfile.mkdtemp(prefix="tljax-slurm-"))
    os.environ |= {
        "SLURM_CONF": str(folder / "slurm.conf"),
        "TLJAX": f"{sys.executable} -m tljax",
        "PYTHONPATH": str(ROOT),
        "JAX_PLATFORMS": "cpu",
    }
    try:
        subprocess.run([HERE, "start", str(folder)], check=True)
        preempted_twice(folder)
        array(folder)
    finally:
        subprocess.run([HERE, "stop", str(folder)], check=True)
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
