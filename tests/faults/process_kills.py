"""Jobs of 2 and 4 processes, of which one or all are killed or asked to end at any time; they go on to the same end."""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.small import losses, saved_bits

ROOT = Path(__file__).parents[2]
JOIN = 45  # seconds in which all processes must come together
ENDED = 60.0  # seconds in which a job must have ended, when something has ended one of its processes
ABORTED = -6  # 134 in a shell: where process 0 was killed, jax ends the others so
# (number of the signal, which processes get it); the soak draws each as often as the others.
HITS = [(number, who) for number in (signal.SIGTERM, signal.SIGKILL) for who in ("process 0", "another one", "all")]
CODES = {signal.SIGTERM: {143}, signal.SIGKILL: {1, ABORTED, -9}}  # number -> exit codes of the killed and the others
# Before jax has started, a signal has its own effect, and who waits for that process says that it did not come.
EARLY = {-15, -9, 2, ABORTED, 143, 1}


class Job:
    """The run `soak` of tests/outside/processes.py, in so many processes; four devices in all."""

    def __init__(self, count: int, folder: Path) -> None:
        self.count, self.folder = count, folder
        began = time.monotonic()
        assert self.ended(self.start("whole")) == [0] * count, self.said("whole")
        self.seconds = time.monotonic() - began
        began = time.monotonic()  # again: the first one compiled
        assert self.ended(self.start("again")) == [0] * count, self.said("again")
        self.seconds = time.monotonic() - began
        self.whole = self.kept("whole")
        assert self.kept("again") == self.whole

    def start(self, name: str) -> list[subprocess.Popen[bytes]]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        devices = f"--xla_force_host_platform_device_count={4 // self.count}"
        environment = os.environ | {
            "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0 {devices}",
            "JAX_COORDINATOR_BIND_ADDRESS": f"127.0.0.1:{port}",
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",
        }
        home = self.folder / name
        home.mkdir(parents=True, exist_ok=True)
        started = []
        for index in range(self.count):
            place = f"127.0.0.1:{port},{index},{self.count},join={JOIN}"
            words = [sys.executable, str(ROOT / "tests/outside/processes.py"), place, str(home), "soak"]
            with (home / f"process{index}.out").open("w") as out:
                started.append(subprocess.Popen(words, env=environment, stdout=out, stderr=out, cwd=ROOT))
        return started

    def ended(self, started: list[subprocess.Popen[bytes]], seconds: float = 600) -> list[int | None]:
        """The exit codes; None of one that has not ended after `seconds`, and is killed."""
        until, codes = time.monotonic() + seconds, []
        for one in started:
            try:
                codes.append(one.wait(max(0.0, until - time.monotonic())))
            except subprocess.TimeoutExpired:
                codes.append(None)
                one.kill()
        return codes

    def said(self, name: str) -> str:
        files = sorted((self.folder / name).glob("process*.out"))
        return "\n".join(f"{file.name}: {file.read_text()[-1500:]}" for file in files)

    def kept(self, name: str) -> tuple[Any, ...]:
        """What must be the same: every bit of the model, the loss of every step, each once."""
        run = self.folder / name / "soak"
        return saved_bits(run), losses(run).tolist()


def trial(job: Job, name: str, number: signal.Signals, who: str, draw: random.Random) -> tuple[Counter[str], str]:
    """Hit a job at a time that is drawn, until one of at most three hits came before its end; then let it go on."""
    seen: Counter[str] = Counter()
    for _ in range(3):
        started = job.start(name)
        time.sleep(draw.uniform(0.1, 1.0) * job.seconds)
        hit = {"process 0": started[:1], "another one": [draw.choice(started[1:])], "all": started}[who]
        alive = [one for one in hit if one.poll() is None]
        log = job.folder / name / "soak" / "metrics.jsonl"
        early = not log.exists() or not log.stat().st_size
        began = time.monotonic()
        [one.send_signal(number) for one in alive]
        codes = job.ended(started, ENDED)
        took = time.monotonic() - began
        if codes == [0] * job.count or (not alive and set(codes) == {0}):
            continue  # it was over before
        kind = f"{number.name} to {who} of {job.count}"
        seen += Counter({kind: 1, "hits": 1, "before the first step": early})
        seen["slowest, s"] = max(seen["slowest, s"], int(took + 0.5))
        if None in codes or not set(codes) <= ({0} | CODES[number] | (EARLY if early else set())):
            return seen, f"{kind}: exit codes {codes} after {took:.0f} s\n{job.said(name)}"
        break
    codes = job.ended(job.start(name))
    if codes != [0] * job.count:
        return seen, f"it does not go on: {codes}\n{job.said(name)}"
    return seen, "" if job.kept(name) == job.whole else "it ends otherwise"


def processes(zygote: Any, root: Path, number: int, draw: random.Random) -> Counter[str]:
    """So many jobs of 2 and of 4 processes, each with each of HITS before any comes again."""
    del zygote  # processes that share a coordinator are started one by one
    jobs, seen = [Job(count, root / f"of {count}") for count in (2, 4)[: max(1, min(2, number))]], Counter[str]()
    every = [(job, *hit) for hit in HITS for job in jobs]
    hits = [hit for _ in range(0, number, len(every)) for hit in draw.sample(every, len(every))]
    for turn, (job, signal_number, who) in enumerate(hits[:number]):
        name = f"run{turn}"
        found, wrong = trial(job, name, signal_number, who, draw)
        slowest = max(seen["slowest, s"], found.pop("slowest, s", 0))
        seen += found + Counter({"jobs": 1, "wrong": bool(wrong)})
        seen["slowest, s"] = slowest
        print(f"{dict(found)}{': ' + wrong if wrong else ''}", flush=True)
        shutil.rmtree(job.folder / name)
    return seen
