"""Choose the strategy by measured facts (`strategies/auto.py`), and compute the cost of every rule."""

import dataclasses
import json
from collections.abc import Iterable
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from tljax.core import overrides, untrusted
from tljax.core.errors import ConfigError, DataError
from tljax.core.experiment import Experiment
from tljax.core.plugins import find
from tljax.core.processes import agreement
from tljax.core.trees import flatten
from tljax.core.types import Batch, Record
from tljax.data import mixing
from tljax.data.batches import Training
from tljax.networks import flops
from tljax.reporting.report import Report
from tljax.runs import experiment
from tljax.training import features, optimizer, views
from tljax.training.parallel import Parallel
from tljax.training.train_state import TrainState
from tljax.transfer import transferability
from tljax.transfer.method import Method
from tljax.transfer.transferability import Facts

FILE = "decision.json"
MOST = 10_000  # the most examples for the scores, which take N^2 D operations
COLUMNS = ("rule", "chosen where there are", "strategy", "trainable", "optimizer bytes", "GFLOPs an update", "times")


def settle(
    method: Method, loaded: Experiment, devices: Parallel, report: Report, config: ConfigDict
) -> tuple[Method, Experiment]:
    """The strategy of this run, and the experiment for it. A strategy that does not choose is returned unchanged.

    A resumed run keeps its first decision, which is in decision.json.

    Raises:
      ConfigError: the facts cannot be measured, or a strategy that could be chosen does not fit.
      DataError: decision.json is damaged.
    """
    if method.chooses is None:
        return method, loaded
    decision = agreement.told(lambda: report.stored(FILE))
    if decision is not None:
        check(decision, (config.strategy.auto[cell] for cell in find("strategies", method.name).CELLS))
    else:
        decided = _decided(method, loaded, devices, report, config)
        decision = agreement.told(lambda: decided)
    report.keep(FILE, json.dumps(decision, indent=2))
    tell(decision, report)
    chosen = _method(decision["strategy"], config.strategy)
    if not chosen.pretrained:
        loaded = experiment.load(config, axis=devices.axis, pretrained_wanted=False)
    return chosen, loaded


def measure(loaded: Experiment, devices: Parallel, report: Report, config: ConfigDict) -> Facts:
    """The facts of the training part, measured on the pretrained features before the head.

    Raises:
      ConfigError: examples do not have one class each.
    """
    labels = loaded.parts["train"].subset.labels
    if not loaded.classes or labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise ConfigError(
            f"config.strategy.name=auto measures how well features separate classes: every example needs one class, "
            f"but those of {loaded.info.source} have {loaded.info.labels}. Name another strategy."
        )
    where, why = views.decide(loaded, loaded.stages, config.data, devices, passes=float("inf"), augmented=False)
    report.say(f"features, to choose a strategy: {why}")
    parts = features.vectors(loaded, where or "process", devices, report, config)
    some = np.sort(np.random.default_rng(config.seed).permutation(len(labels))[:MOST])
    rows = parts["train"].take(some)["features"]
    return transferability.facts(rows, labels[some], np.bincount(labels, minlength=len(loaded.classes)))


def tell(decision: Record, report: Report) -> None:
    """Print the facts, the chosen rule, and the cost of every rule."""
    lines, rows, last = _told(decision)
    for line in lines:
        report.say(line)
    first = ("rule", "strategy", "times", "trainable")
    report.table("what every rule would cost, features not cached", COLUMNS, rows, first=first)
    report.say(last)


def check(decision: Any, strategies: Iterable[str]) -> None:
    """Raise DataError if this cannot be what a run has decided: a file in its folder may be damaged, or a stranger's.

    Args:
      strategies: the names among which `auto` chooses.
    """
    try:
        if wrong := untrusted.faults(Facts, decision["facts"], {"classes": (1, 2**20), "examples": (1, 2**40)}):
            raise ValueError("; ".join(wrong))
        if decision["strategy"] not in (known := list(strategies)):
            raise ValueError(f"strategy must be one of {', '.join(known)}; got {untrusted.shown(decision['strategy'])}")
        _told(decision)
    except (ArithmeticError, AttributeError, LookupError, StopIteration, TypeError, ValueError) as error:
        raise DataError(
            f"{FILE} of a run must hold what `auto` decided: {type(error).__name__}: {error}. Choose another "
            f"--workdir, or remove {FILE}: then it decides again."
        ) from error


def _told(decision: Record) -> tuple[list[str], list[list[str]], str]:
    """(Lines about the facts and the rule, the rows of the table of costs, the line below it)."""
    facts, thresholds = Facts(**decision["facts"]), decision["thresholds"]
    lines = [
        f"auto: {facts.per_class:g} examples a class ({facts.smallest} to {facts.largest}; "
        f"much from {thresholds['much']:g}, very much from {thresholds['very_much']:g})",
        f"  similarity {facts.similarity:.3f} +- {facts.error:.3f} (similar from {thresholds['similar']:g}): "
        f"kNN {facts.knn:.4f}, the largest class alone {facts.chance:.4f}, of {facts.measured:,} examples",
        f"  LogME {facts.logme:.4f}, shrunk H-score {facts.shrunk_h:.4f}: no rule asks for them",
        f"  so the rule is {decision['rule']}: strategy {decision['strategy']}",
    ]
    distance = abs(facts.similarity - thresholds["similar"])
    if distance < 2 * facts.error:
        lines.append(f"  a close call: similarity is {distance:.3f} from its threshold, less than 2 standard errors")
    own = next(row for row in decision["costs"] if row["rule"] == decision["rule"])
    rows = [_cells(row, own) for row in decision["costs"]]
    others = ",".join(dict.fromkeys(row["strategy"] for row in decision["costs"]))
    last = (f"  what another rule would reach is not known before it is trained; "
            f"`tljax compare --strategies {others}` finds out, with this run's data or --config")  # fmt: skip
    return lines, rows, last


def _decided(method: Method, loaded: Experiment, devices: Parallel, report: Report, config: ConfigDict) -> Record:
    """The content of decision.json."""
    assert method.chooses  # checked by `settle`
    table, rules = find("strategies", method.name), config.strategy.auto
    cells: tuple[str, ...] = table.CELLS
    priced = {cell: _method(rules[cell], config.strategy) for cell in cells}
    if other := [f"{cell}={rules[cell]}" for cell, one in priced.items() if one.chooses]:
        raise ConfigError(f"config.strategy.auto must name strategies that have a plan; got {', '.join(other)}.")
    facts = measure(loaded, devices, report, config)
    cell = method.chooses(facts, config.strategy)
    return {
        "facts": dataclasses.asdict(facts),
        "similarity": facts.similarity,
        "thresholds": {name: rules[name] for name in rules if name not in cells},
        "rule": cell,
        "strategy": rules[cell],
        "costs": [
            {"rule": one, "when": table.condition(one, config.strategy), "strategy": rules[one]}
            | cost(priced[one], loaded, devices, config)
            for one in cells
        ],
    }


def cost(method: Method, loaded: Experiment, devices: Parallel, config: ConfigDict) -> Record:
    """Learning parameters, bytes of the largest optimizer state, and FLOPs of an update (mean over the run).

    FLOPs are those of convolutions and matrix products; caching, mixup and CutMix are not considered. None if there
    are no updates, or they cannot be counted.
    """
    config = overrides.apply(config, [f"task.{name}=0" for name in mixing.OPTIONS if name in config.task])
    prepared = experiment.with_plan(loaded, method, config)
    begun = prepared.experiment
    training = Training(begun.parts["train"], batch_size=config.train.batch_size, seed=config.seed)
    steps = max(training.steps(config.train.epochs), config.train.min_steps)
    job, leaves = prepared.job(steps, config, devices.axis), flatten(begun.variables["params"])
    learning = {group for phase in prepared.phases for group in phase.learning}
    row: Record = {
        "trainable": sum(leaves[path].size for group in learning for path in begun.groups[group]),
        "optimizer_bytes": 0,
        "operations": None,
    }
    if method.fits:
        return row
    start, batch = TrainState.create(begun.variables, seed=config.seed), training(0)
    counts = []
    for index, end in enumerate(job.ends):
        state = job.at(end, start)
        row["optimizer_bytes"] = max(row["optimizer_bytes"], sum(optimizer.state_bytes(state.opt_state).values()))
        counts.append(_operations(job.step(index), state, batch, devices))
    if None not in counts:
        lengths = np.diff((0, *job.ends))
        row["operations"] = int(np.dot(counts, lengths) / steps)
    return row


def _operations(step: Any, state: TrainState, batch: Batch, devices: Parallel) -> int | None:
    """FLOPs of one update on all devices."""
    if devices.axis:  # under pmap a step names the axis of devices: count it for one device with the whole batch
        step = jax.vmap(step, in_axes=(None, 0), axis_name=devices.axis)
        batch = jax.tree.map(lambda x: x[None], batch)
    try:
        return flops.count(step, state, batch)
    except ValueError:
        return None


def _method(name: str, config: ConfigDict) -> Method:
    return Method.of(find("strategies", name), config)


def _cells(row: Record, own: Record) -> list[str]:
    """One row of the table, in the order of COLUMNS."""
    known = row["operations"] and own["operations"]
    return [
        row["rule"] + (" <-" if row is own else ""),
        row["when"],
        row["strategy"],
        f"{row['trainable']:,}",
        f"{row['optimizer_bytes']:,}",
        f"{row['operations'] / 1e9:,.2f}" if row["operations"] else "-",
        f"{row['operations'] / own['operations']:.2f}" if known else "-",
    ]
