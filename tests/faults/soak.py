"""`make soak`: kills, signals, damaged run folders and mutated files by the hundreds; prints what was seen.

`python -m tests.faults.soak PART NUMBER [SEED]`: PART is kills, stops, nans, corruptions, processes, or fuzz of every
reader; after the seed of fuzz the names of readers may follow.
"""

import contextlib
import io
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from tests.faults import foreign_files, fuzzers
from tests.faults.kills import KINDS, LOG, Killed, kept_state
from tests.faults.process_kills import processes
from tests.faults.zygote import Zygote, imported, last_step
from tljax.core import caches

NAMES = sys.argv[4:]  # readers to fuzz; none: all
NAN = Path(__file__).parents[1] / "outside/nan_step.py"
MEMORY = 2 * 2**30  # bytes that a reader may take beyond what this process has


def kills(zygote: Zygote, root: Path, number: int, draw: random.Random) -> Counter[str]:
    """Runs of every strategy in turn, each killed again and again until it ends."""
    seen, runs = Counter(), {}
    while seen["kills"] < number:
        strategy = KINDS[seen["runs"] % len(KINDS)]
        one = runs.setdefault(strategy, None) or Killed(zygote, strategy, root / strategy)
        runs[strategy] = one
        hit, wrong = one.until_done("run", draw)
        seen += Counter({"kills": hit, "runs": 1, "wrong": bool(wrong)})
        print(f"{strategy}: {hit} kills{': ' + wrong if wrong else ''}", flush=True)
    return seen


def stops(zygote: Zygote, root: Path, number: int, draw: random.Random) -> Counter[str]:
    """SIGTERM at any time: code 143, no logged step lost, gone within 10 s; and the run goes on to the same end."""
    seen, one = Counter(), Killed(zygote, "full", root / "stops", page=True)
    while seen["signals"] < number:
        name = f"run{seen['signals']}"
        done = one.run(name, after=draw.uniform(0.2, 0.95) * one.seconds, number=signal.SIGTERM)
        if done["code"] == 0:  # it was over before
            one.seconds = min(one.seconds, done["seconds"])
            shutil.rmtree(one.folder / name)
            continue
        step = saved(one.folder / name)
        lost = last_step(one.folder / name / LOG) - step
        wrong = {"code": done["code"] != 143, "steps lost": lost > 0, "slow": (done["took"] or 0) > 10}
        wrong |= {"went on": one.run(name)["code"] != 0} | {"end": bool(one.check(name))}
        seen += Counter({"signals": 1, "after a step": step > 0})
        seen["slowest, ms"] = max(seen["slowest, ms"], int(1000 * (done["took"] or 0)))
        seen["wrong"] += any(wrong.values())
        print(
            f"SIGTERM, gone after {done['took']:.2f} s{f': {wrong} {done}' if any(wrong.values()) else ''}", flush=True
        )
        shutil.rmtree(one.folder / name)
    return seen


def nans(zygote: Zygote, root: Path, number: int, draw: random.Random) -> Counter[str]:
    """The update of step 17 (where a phase counts anew, of that phase) is NaN: code 1, the last checkpoint before it is
    whole, no state with NaN is kept, and without it the run goes on to its end.
    """
    seen: Counter[str] = Counter()
    for strategy in [name for name in KINDS if name != "classic"][:number]:  # which takes no steps
        keys = (f"--config.optimizer.name={NAN}:sgd", "--config.train.epochs=24", "--config.train.checkpoint_epochs=2")
        one = Killed(zygote, strategy, root / strategy, *keys)
        (one.folder / "nan").touch()
        done = one.run("run")
        (one.folder / "nan").unlink()
        step, state = saved(one.folder / "run"), jax.tree.leaves(kept_state(one.folder / "run"))
        wrong = {"code": done["code"] != 1, "words": "finite" not in done["said"], "step": step != 15}
        wrong["state"] = any(np.isnan(leaf).any() for leaf in state if np.issubdtype(leaf.dtype, np.floating))
        wrong |= {"went on": one.run("run")["code"] != 0} | {"end": bool(one.check("run"))}
        seen += Counter({"strategies": 1, "wrong": any(wrong.values())})
        print(f"{strategy}: saved step {step}{f': {wrong} {done}' if any(wrong.values()) else ''}", flush=True)
    return seen


def saved(folder: Path) -> int:
    """The step of the last whole checkpoint."""
    found = (folder / "checkpoints/latest").glob("[0-9]*/checksums.json")
    return max((int(path.parent.name) for path in found), default=0)


def corruptions(zygote: Zygote, root: Path, number: int, draw: random.Random) -> Counter[str]:
    """One file of the folder of a run cut off is damaged: the run ends the same, or says what is wrong.

    The runs go on in this process, which imports and begins jax once.
    """
    seen, cut = Counter(), [cut_off(zygote, strategy, root / strategy, draw) for strategy in ("full", "lp_ft")]
    for turn in range(number):
        one = cut[turn % len(cut)]
        shutil.copytree(one.folder / "cut", one.folder / "run")
        name = damaged(one.folder / "run", draw)
        code, said = answered([*one.arguments, "--workdir=run"], one.folder)
        kind = {0: "went on", 2: "refused", 3: "refused", 4: "refused"}.get(code, "other code")
        bits, log, state = one.kept("run") if code == 0 else one.whole
        silent = (bits, state) != (one.whole[0], one.whole[2]) or (log != one.whole[1] and name != LOG)
        seen += Counter({kind: 1, "corruptions": 1, "silent": silent, "tracebacks": "Traceback" in said})
        if silent or kind == "other code" or "Traceback" in said:
            print(f"{name}: silent {silent}, code {code}: {said[-1500:]}", flush=True)
        if not seen["corruptions"] % 25:
            print(dict(seen), flush=True)
        shutil.rmtree(one.folder / "run")
    return seen


def cut_off(zygote: Zygote, strategy: str, folder: Path, draw: random.Random) -> Killed:
    """A strategy whose folder `cut` is that of a run killed in the midst of it."""
    one = Killed(zygote, strategy, folder)
    while saved(one.folder / "cut") < 2 or (one.folder / "cut/result.json").exists():
        shutil.rmtree(one.folder / "cut", ignore_errors=True)
        one.run("cut", step=draw.randint(5, 8))
    return one


def damaged(folder: Path, draw: random.Random) -> str:
    """Damage one file of a folder as disks and people do; returns its name."""
    file = draw.choice(sorted(path for path in folder.rglob("*") if path.is_file()))
    before = file.read_bytes()
    if draw.random() < 0.1:
        file.unlink()
    else:
        file.write_bytes(draw.choice((fuzzers.mutated(before, draw), b"", b"\0" * len(before))))
    return str(file.relative_to(folder))


def answered(arguments: list[str], folder: Path) -> tuple[int, str]:
    """(The exit code of `tljax ARGUMENTS` in this process, what it said); 99 for a traceback."""
    from tljax import __main__

    said, code = io.StringIO(), 99
    with contextlib.chdir(folder), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = __main__.main(arguments)
        except Exception:
            traceback.print_exc()
    return code, said.getvalue()


def fuzz(zygote: Zygote, root: Path, number: int, draw: random.Random) -> Counter[str]:
    """So many mutated files for every reader."""
    seen: Counter[str] = Counter()
    known = {**fuzzers.readers(root), **foreign_files.readers(root)}
    for name in NAMES or known:
        reader = known[name]
        began = time.monotonic()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for wrong in fuzzers.fuzz(reader, root, number, draw.randrange(2**31)):
                seen["wrong"] += 1
                print(f"{name}: {wrong}", flush=True)
        seen["files"] += number
        print(f"{name}: {number:,} files in {time.monotonic() - began:.0f} s", flush=True)
    seen["peak memory, MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return seen


PARTS: dict[str, Callable[[Zygote, Path, int, random.Random], Counter[str]]] = {
    "kills": kills, "stops": stops, "nans": nans, "corruptions": corruptions, "fuzz": fuzz,
    "processes": processes,
}  # fmt: skip


def main(arguments: list[str]) -> int:
    part, number, seed = arguments[0], int(arguments[1]), int([*arguments, "0"][2])
    began, zygote = time.monotonic(), Zygote()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TLJAX_CACHE"] = str(caches.folder("killed"))  # a small one: every start looks through all of it
        if part == "corruptions":
            imported()
        if part == "fuzz":
            os.environ["TLJAX_CACHE"] = f"{folder}/cache"
            limit = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + 2 * MEMORY
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        seen = PARTS[part](zygote, Path(folder), number, random.Random(seed))
    zygote.close()
    print(f"{part}, seed {seed}: {dict(seen)}; {time.monotonic() - began:.0f} s", flush=True)
    return int(bool(seen["wrong"] + seen["silent"] + seen["tracebacks"] + seen["other code"]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
