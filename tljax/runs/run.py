"""One experiment: pretrained weights in; a fine-tuned network, its numbers and its run folder out."""

from pathlib import Path

from ml_collections import ConfigDict

from tljax.core import overrides, settings
from tljax.core.plugins import find
from tljax.core.processes import agreement
from tljax.core.processes.deadline import Deadline
from tljax.core.untrusted import Record
from tljax.reporting import silent
from tljax.runs import budget, fitted_run, own_size, records, results
from tljax.runs.finish import finish
from tljax.runs.preparation import prepare
from tljax.serving import saved_model
from tljax.training import parallel, plan_rates, views
from tljax.training.checkpoints.shared import opened
from tljax.training.devices import tracing
from tljax.training.optimizers import group_table
from tljax.training.train_loop import Loop
from tljax.training.train_state import TrainState


def run(config: ConfigDict, workdir: Path) -> Record:
    """Run the experiment; in an interrupted run's folder, the rest; in that of a finished run, its result."""
    config, left = settings.resolve(config)
    report = silent.of(workdir, config, best=find("tasks", config.task.name).BEST_METRIC)
    if finished := agreement.told(report.finished):
        return finished
    devices = parallel.of(config)

    # Which groups learn, how fast, and when. All faults of the input are reported here, before anything is written.
    prepared = prepare(config, devices, report)
    experiment, phases, task = prepared.experiment, prepared.phases, prepared.experiment.task
    if prepared.method.fits:
        return fitted_run.run(prepared.method, experiment, devices, report, config)
    phase_views = views.make(experiment, phases, task, devices, report, config)
    steps = max(phase_views[0].training.steps(config.train.epochs), config.train.min_steps)
    initial = TrainState.create(experiment.variables, seed=config.seed)
    job = prepared.job(steps, config, devices.axis)
    if config.train.minutes and (fits := budget.steps(job, phase_views, initial, devices, report)) < steps:
        # Fewer epochs of the same length, so that evaluations stay as far apart.
        shorter = overrides.apply(config, (f"train.epochs={config.train.epochs * fits / steps!r}",))
        job = prepared.job(fits, shorter, devices.axis)
    tracing.check(config.profile, job.steps)
    tables = group_table.tables(job, initial)
    if devices.layout:
        devices.layout.check(initial.params)

    with report.opened(experiment.fingerprints()):
        report.begin(config, experiment)
        for line in left:
            report.say(f"  {line}")
        report.plan(tables, plan_rates.chart(phases, job.steps, job.config.train.epochs, config.optimizer))
        for view in phase_views:
            report.say(view.note)
        keep, layout = config.train.keep_checkpoints, devices.layout
        with opened(workdir / "checkpoints", keep=keep, layout=layout) as checkpoints:
            loop = Loop(
                job, phase_views, devices, checkpoints, report, deadline=Deadline(report.deadline(config.train.minutes))
            )
            trained = loop.fit(initial)
        final, last = loop.variables(devices.put_state(trained.state)), phase_views[-1]
        totals, learned = own_size.totals(last, final, experiment, devices, config), devices.get_state(final)
        temperature = records.temperature(task, totals)
        result = results.make(job, trained, totals, views.took(phase_views)) | {"temperature": temperature}

        def save(folder: Path) -> None:
            saved_model.save(folder, learned, experiment, config, temperature=temperature)

        return finish(save, result, totals, experiment, devices, report, config)
