"""One experiment: pretrained weights in; a fine-tuned network, its numbers and its run folder out.

python main.py --config configs/digits.py --workdir runs/digits
"""

import sys
from functools import partial
from pathlib import Path
from typing import Any

from tljax import experiment, optimizer, parallel, results, saved_model, settings
from tljax.batches import Evaluation, Training
from tljax.checkpoint import opened
from tljax.cli import start
from tljax.evaluate import Evaluator
from tljax.job import GROUP_COLUMNS, Job
from tljax.plugins import find
from tljax.report import Report
from tljax.train_loop import Loop
from tljax.train_state import TrainState
from tljax.train_step import make_eval_step


def run(config: Any, workdir: Path) -> dict[str, Any]:
    """The whole experiment; on the folder of a run cut off, the rest of it; on a finished one, its result."""
    settings.check(config)
    strategy, task = find("strategies", config.strategy.name), find("tasks", config.task.name)
    report = Report(workdir, config, best=task.BEST)
    if finished := report.finished():
        return finished
    devices = parallel.make(config.parallel)
    batch_size, eval_size = settings.batch_size(config.train, devices.devices)
    optimizer.check(config.optimizer)

    # Everything that can be wrong with the input is said here, before anything is written.
    made = experiment.load(config, axis=devices.axis, pretrained_wanted=strategy.PRETRAINED)
    training = Training(made.parts["train"], batch_size=batch_size, seed=config.seed)
    evaluations = {part: Evaluation(pictures, batch_size=eval_size) for part, pictures in made.parts.items()}

    # What learns, how fast, and when.
    phases = strategy.plan(made.groups, config.strategy)
    steps = training.steps(config.train.epochs)
    job = Job(made.network, task, made.prepare, made.groups, phases, steps, config, devices.axis)
    begin = TrainState.create(made.variables, seed=config.seed)
    tables = job.tables(begin)

    report.open(made.fingerprints())
    report.inputs(config, made)
    for title, rows in tables:
        report.table(title, GROUP_COLUMNS, rows)
    evaluator = Evaluator(
        make_eval_step(made.network, task, made.prepare, axis=devices.axis), devices, report.compiling
    )
    with opened(workdir / "checkpoints", keep=config.train.keep_checkpoints) as checkpoints:
        state = Loop(job, training, evaluations.get("validation"), evaluator, devices, checkpoints, report).fit(begin)
    final = devices.put_state(state.variables())
    totals = {part: evaluator(final, evaluations[part]) for part in evaluations}
    saved_model.save(workdir / "model", state.variables(), made, config)
    return report.finish(results.make(job, state, totals), totals, partial(task.files, classes=made.classes))


if __name__ == "__main__":
    sys.exit(start(run, sys.argv))
