"""One experiment: pretrained weights in; a fine-tuned network, its numbers and its run folder out."""

from functools import partial
from pathlib import Path
from typing import Any

from tljax.core import settings
from tljax.core.plugins import find
from tljax.reporting.report import Report
from tljax.runs import decision, experiment, fitted_run, results
from tljax.serving import saved_model
from tljax.training import parallel, plan_rates, views
from tljax.training.checkpoint import opened
from tljax.training.job import Job
from tljax.training.train_loop import Loop
from tljax.training.train_state import TrainState
from tljax.transfer.alignment import Alignment
from tljax.transfer.method import Method


def run(config: Any, workdir: Path) -> dict[str, Any]:
    """The whole experiment; on the folder of a run cut off, the rest of it; on a finished one, its result."""
    config, left = settings.resolve(config)
    strategy, task = find("strategies", config.strategy.name), find("tasks", config.task.name)
    report = Report(workdir, config, best=task.BEST)
    if finished := report.finished():
        return finished
    devices = parallel.make(config.parallel)
    if hasattr(strategy, "fit"):
        fitted_run.check(config)
    experiment.check(config, devices.devices, pretrained_wanted=strategy.PRETRAINED)

    # Everything that can be wrong with the input is said here, before anything is written.
    fits = Method(strategy, config.strategy).check
    made = experiment.load(config, axis=devices.axis, pretrained_wanted=strategy.PRETRAINED, fits=fits)
    task = made.task

    # What learns, how fast, and when.
    strategy, made = decision.settle(strategy, made, devices, report, config)
    method = Method(strategy, config.strategy)
    made = method.begin(made, seed=config.seed)
    alignment = Alignment.of(config.adaptation)
    made, phases = alignment.begin(made, strategy.plan(made.groups, config.strategy), seed=config.seed)
    if hasattr(strategy, "fit"):
        return fitted_run.run(strategy, made, task, devices, report, config, workdir)
    seen = views.make(made, phases, task, devices, report, config)
    steps = max(seen[0].training.steps(config.train.epochs), config.train.min_steps)
    job = Job(made.network, task, made.prepare, made.groups, phases, steps, config, devices.axis, method, alignment)
    begin = TrainState.create(made.variables, seed=config.seed)
    tables = job.tables(begin)

    with report.opened(made.fingerprints()):
        report.inputs(config, made)
        for line in left:
            report.say(f"  {line}")
        report.plan(tables, plan_rates.chart(phases, steps, config.train.epochs, config.optimizer))
        for view in seen:
            report.say(view.note)
        with opened(workdir / "checkpoints", keep=config.train.keep_checkpoints) as checkpoints:
            loop = Loop(job, seen, devices, checkpoints, report)
            trained = loop.fit(begin)
        final, last = loop.variables(devices.put_state(trained.state)), seen[-1]
        totals = {part: last.evaluator(final, examples) for part, examples in last.evaluations.items()}
        saved_model.save(workdir / "model", devices.get_state(final), made, config)
        found = results.make(job, trained, totals, views.took(seen))
        return report.finish(found, totals, partial(task.files, classes=made.classes))
