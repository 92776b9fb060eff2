"""Programs timed in turn, so that what else the machine does meets all of them alike; and what they ran on."""

import argparse
import dataclasses
import datetime
import importlib.metadata
import importlib.util
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from tljax.core import layer_groups
from tljax.core.types import Mode
from tljax.tasks import classification
from tljax.training import optimizer
from tljax.training.train_state import TrainState
from tljax.training.train_step import Objective, make_train_step

Row = Mapping[str, Any]
Columns = Mapping[str, tuple[str, str, float]]  # heading -> (key of a row, format, factor)
OTHERS = 0.33  # of a core: a round with more of it is not quiet

# Columns of a table of networks, for `report`.
IMAGES = {
    "jax images/s": ("jax_s", ".2f", 1),
    "torch images/s": ("torch_s", ".2f", 1),
    "jax/torch": ("ratio", ".2f", 1),
    "compile s": ("compile_s", ".1f", 1),
    "temp MB": ("temp_bytes", ".0f", 1e-6),
    "GFLOP": ("flops", ".1f", 1e-9),
    "rounds": ("rounds", "d", 1),
    "quiet": ("quiet_rounds", "d", 1),
}


@dataclasses.dataclass
class Run:
    """One program: `steps(n)` runs n steps to their end; the rest is what its compiler says."""

    steps: Callable[[int], None]
    facts: dict[str, float] = dataclasses.field(default_factory=dict)


def arguments(parser: argparse.ArgumentParser) -> None:
    """What every comparison takes."""
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.5, help="of one measurement in a round")
    parser.add_argument("--wait", type=float, default=60, help="seconds a row may wait for quiet rounds")
    parser.add_argument("--cpu-time", action="store_true", help="of this process, instead of the wall clock")
    parser.add_argument("--as-xla-chooses", action="store_true", help="without what a run tells XLA on a CPU")
    parser.add_argument("--no-torch", action="store_true")
    parser.add_argument("--out", type=Path, help="a .json file")


def training(
    network: nn.Module,
    variables: Any,
    batch: Any,
    groups: Any,
    learning: tuple[str, ...],
    *,
    prepare: Callable[..., Any],
    tx: Any,
    options: dict[str, Any],
    task: Any = classification,
) -> Run:
    """The step as a run compiles it: gradients of the learning groups only, the state donated."""
    labels = optimizer.labels(groups, learning)
    tx = optax.multi_transform(dict.fromkeys(learning, tx), labels)
    mode = Mode(train=True, frozen=layer_groups.frozen_modules(groups, learning))
    task_config = ConfigDict({"label_smoothing": 0.0, "mixup": 0.0, "cutmix": 0.0})
    step = make_train_step(Objective(network, task, prepare, mode, task_config), tx, labels)
    state = TrainState.create(jax.tree.map(np.array, variables), seed=0)
    state = jax.device_put(state.replace(opt_state=tx.init(optimizer.split(state.params, labels)[0])))
    batch = jax.device_put(batch)
    begin = time.perf_counter()
    compiled = jax.jit(step, donate_argnums=0).lower(state, batch).compile(compiler_options=options)
    facts = {"compile_s": time.perf_counter() - begin, **costs(compiled)}
    held = [state]

    def steps(n: int) -> None:
        for _ in range(n):
            held[0], _ = compiled(held[0], batch)
        jax.block_until_ready(held[0])

    return Run(steps, facts)


def pictures(batch: Any, *_: Any) -> dict[str, Any]:
    """Prepares a batch of pictures that is one already, for `training`."""
    return {**batch, "inputs": batch["image"]}


def costs(compiled: Any) -> dict[str, float]:
    """FLOPs and bytes of a compiled program, as far as its backend tells them."""
    cost, memory = compiled.cost_analysis() or {}, compiled.memory_analysis()
    cost = cost[0] if isinstance(cost, list) else cost  # a list of one in older jax
    facts = {"flops": cost.get("flops"), "temp_bytes": getattr(memory, "temp_size_in_bytes", None)}
    facts["peak_bytes"] = getattr(memory, "peak_memory_in_bytes", None)  # newer jax
    return {name: float(value) for name, value in facts.items() if value}


def matmul_peak(args: argparse.Namespace) -> float:
    """FLOP/s of a large square product in this run, the best of ten."""
    n = 2048 if jax.default_backend() == "cpu" else 8192
    clock, a = clock_of(args), jnp.ones((n, n), args.dtype)
    product = jax.jit(lambda a: jnp.matmul(a, a, preferred_element_type=jnp.float32).astype(a.dtype))
    seconds = []
    for _ in range(11):  # the first one compiles
        begin = clock()
        product(a).block_until_ready()
        seconds.append(clock() - begin)
    return 2 * n**3 / min(seconds)


def race(runs: dict[str, Run], args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Median seconds a step of every run over rounds in turn, and how many of those were quiet."""
    steps = {}
    for name, run in runs.items():
        run.steps(2)
        steps[name] = max(1, round(args.seconds / timed(run, 1, args)[0]))
    deadline, quiet, noisy = time.monotonic() + args.wait, [], []
    while len(quiet) < args.rounds and (time.monotonic() < deadline or len(quiet) + len(noisy) < args.rounds):
        measured = {name: timed(run, steps[name], args) for name, run in runs.items()}
        busy = max(others for _, others in measured.values())
        (quiet if busy < OTHERS else noisy).append({name: seconds for name, (seconds, _) in measured.items()})
    rounds = quiet if len(quiet) >= 3 else quiet + noisy
    return {
        name: {"seconds": statistics.median(r[name] for r in rounds), "rounds": len(rounds), "quiet": len(quiet)}
        for name in runs
    }


def timed(run: Run, steps: int, args: argparse.Namespace) -> tuple[float, float]:
    """Seconds a step, and the cores that other processes kept busy meanwhile."""
    clock = clock_of(args)
    busy, own, wall, begin = machine_seconds(), time.process_time(), time.perf_counter(), clock()
    run.steps(steps)
    seconds, wall = clock() - begin, time.perf_counter() - wall
    others = machine_seconds() - busy - (time.process_time() - own)
    return seconds / steps, 0.0 if args.cpu_time else others / wall


def clock_of(args: argparse.Namespace) -> Callable[[], float]:
    return time.process_time if args.cpu_time else time.perf_counter


def machine_seconds() -> float:
    """CPU seconds of all processes since boot; 0 where the system does not tell."""
    file = Path("/proc/stat")
    if not file.exists() or jax.default_backend() != "cpu":
        return 0.0
    fields = [int(word) for word in file.read_text().split("\n")[0].split()[1:]]
    return (sum(fields[:3]) + sum(fields[5:8])) / os.sysconf("SC_CLK_TCK")  # all but idle and waiting for disks


def compared(pair: Mapping[str, Run], examples: int, peak: float, args: argparse.Namespace) -> dict[str, Any]:
    """A row of `table`: "jax" and, where it is there, "torch", raced, in `examples` of a step per second."""
    times = race(dict(pair), args)
    row: dict[str, Any] = {**pair["jax"].facts, "matmul_peak": peak}
    row |= {"rounds": times["jax"]["rounds"], "quiet_rounds": times["jax"]["quiet"]}
    row |= {f"{who}_s": examples / time["seconds"] for who, time in times.items()}
    if "torch" in times:
        row["ratio"] = row["jax_s"] / row["torch_s"]
    return row | {"peak_share": row.get("flops", 0) / times["jax"]["seconds"] / peak}


def report(what: str, rows: Sequence[Row], columns: Columns, first: str, args: argparse.Namespace) -> None:
    """Print what was measured, on what, and `table`; with --out, write it all there."""
    facts = about(args)
    print(f"{what}, {args.dtype}: {facts['device']}, {facts['cpu']}")
    print(f"{facts['cores']} cores; matmul peak {rows[0]['matmul_peak'] / 1e9:.0f} GFLOP/s; {facts['versions']}")
    print(table(rows, columns, first))
    if said := noisy(rows):
        print(said)
    if args.out:
        args.out.write_text(json.dumps(facts | {"rows": rows}, indent=2, default=str) + "\n")


def table(rows: Sequence[Row], columns: Columns, first: str) -> str:
    """Rows under `columns`; the first column is `row[first]`."""
    lines = ["  ".join([f"{first:10}", *(f"{heading:>14}" for heading in columns)])]
    for row in rows:
        cells = [
            f"{row[key] * factor:{spec}}" if row.get(key) is not None else "-" for key, spec, factor in columns.values()
        ]
        lines.append("  ".join([f"{row[first]:10}", *(f"{cell:>14}" for cell in cells)]))
    return "\n".join(lines)


def noisy(rows: Sequence[Row]) -> str:
    """What to say where the machine was busy; "" where it was not."""
    if all(row["quiet_rounds"] >= 3 for row in rows):
        return ""
    return "Other processes kept the cores busy: torch's threads wait for each other then, so its figures do not hold."


def about(args: argparse.Namespace) -> dict[str, Any]:
    """What the figures hold for."""
    names = ("jax", "jaxlib", "flax", "optax", "torch", "transformers")
    installed = {name: importlib.metadata.version(name) for name in names if importlib.util.find_spec(name)}
    cpu = next((x for x in _cpuinfo() if x.startswith("model name")), platform.processor()).partition(":")[2].strip()
    device = jax.devices()[0].device_kind
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {"date": date, "device": device, "cpu": cpu, "cores": cores, "versions": installed, "args": vars(args)}


def _cpuinfo() -> list[str]:
    file = Path("/proc/cpuinfo")
    return file.read_text().splitlines() if file.exists() else []
