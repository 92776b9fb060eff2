"""What a run does, once, in a folder that is removed: what would fail fails now, and the price is said."""

import math
import tempfile
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from tljax.core import overrides, settings
from tljax.core.errors import ConfigError
from tljax.core.plugins import find
from tljax.core.processes import agreement
from tljax.reporting.report import Report
from tljax.runs import budget
from tljax.runs.budget import Price
from tljax.runs.experiment import Prepared
from tljax.runs.preparation import prepare
from tljax.serving import saved_model
from tljax.training import parallel, views
from tljax.training.checkpoints.checkpoint import Progress, opened
from tljax.training.devices import memory
from tljax.training.job import Job
from tljax.training.train_state import TrainState

DEAREST = "full"  # of auto's strategies, what is learned most
CHANGES = ("data.cache=off", "writers=()", "train.minutes=0")  # nothing is left in caches, and all of it is priced


def run(config: ConfigDict) -> dict[str, float]:
    """All checks, a step of each phase, a save, a restore and a prediction; nothing stays.

    Returns:
      minutes, and MiB of the largest step and of the examples.

    Raises:
      TljaxError: what the run itself would raise.
    """
    if agreement.count() > 1:
        raise ConfigError(f"--dry-run computes in one process, and this run has {agreement.count()}. Start one alone.")
    limit = 60 * config.train.minutes or math.inf
    auto = find("strategies", config.strategy.name).__name__.endswith(".auto")
    changes = [*CHANGES, *([f"strategy.name={DEAREST}"] if auto else [])]
    config, _ = settings.resolve(overrides.apply(config, changes))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "run"
        report = Report(folder, config, best=find("tasks", config.task.name).BEST_METRIC)
        devices = parallel.of(config)
        prepared = prepare(config, devices, report)
        if prepared.method.fits:
            raise ConfigError(
                f"--dry-run needs a strategy that takes steps; '{config.strategy.name}' takes none. Run it: it is "
                f"features once, and a fit."
            )
        experiment = prepared.experiment
        phase_views = views.make(experiment, prepared.phases, experiment.task, devices, report, config)
        steps = max(phase_views[0].training.steps(config.train.epochs), config.train.min_steps)
        job = prepared.job(steps, config, devices.axis)
        initial = TrainState.create(experiment.variables, seed=config.seed)
        price = budget.measure(job, phase_views, initial, devices, report)
        report.say("checked: data, weights, groups and plan; one step of every phase")
        _saved_and_restored(folder, job, initial, prepared, config)
        report.say("checked: a checkpoint is saved and restored; model/ is saved, loaded, and answers")
        return _told(price, job, prepared, report, limit, auto=auto)


def _saved_and_restored(folder: Path, job: Job, initial: TrainState, prepared: Prepared, config: ConfigDict) -> None:
    experiment, state = prepared.experiment, job.enter(0, initial)
    with opened(folder / "checkpoints", keep=1) as checkpoints:
        checkpoints.save("latest", state, Progress())
        checkpoints.restore("latest", lambda _: job.at(job.ends[0], initial))
    saved_model.save(folder / "model", job.variables(initial), experiment, config)
    model = saved_model.load(folder / "model")
    model.logits(model.variables, experiment.parts["test"].take(np.array([0])))


def _told(price: Price, job: Job, prepared: Prepared, report: Report, limit: float, *, auto: bool) -> dict[str, float]:
    experiment, config = prepared.experiment, job.config
    seconds = report.seconds + price.seconds(job)
    data = sum(getattr(getattr(part, "images", None), "nbytes", 0) for part in experiment.parts.values())
    frozen = views.frozen_stages(experiment.groups, experiment.stages, prepared.phases)
    if len(frozen) == len(experiment.stages):  # a step is the features' own cost: they are computed once
        rows = (1 + config.data.cached_views) * sum(map(len, experiment.parts.values()))
        seconds = report.seconds + rows * price.step / config.train.batch_size + price.final + budget.RESERVE
    over = f", which config.train.minutes={limit / 60:g} will cut" if seconds > limit else ""
    seconds = min(seconds, limit)
    report.say(
        f"expected: {seconds / 60:.1f} minutes at most ({job.steps:,} steps of {price.step:.3g} s{over}; early stop "
        f"may end it before); {memory.mebibytes(data)} MiB of pictures"
    )
    most = f", which has {memory.mebibytes(memory.limit())}" if memory.limit() else ""
    report.say(f"memory: a step needs {price.plan}{most}")
    if auto:
        report.say(f"  auto chooses when it has seen the features; this is the price of '{DEAREST}', the dearest")
    return {"minutes": seconds / 60, "step MiB": price.plan.total / 2**20, "data MiB": data / 2**20}
