"""One experiment: pretrained weights in; a fine-tuned network, its numbers and its run folder out.

python main.py --config configs/digits.py --workdir runs/digits
"""

import sys
from functools import partial
from pathlib import Path
from typing import Any

from tljax import layer_groups, optimizer, parallel, preprocess, pretrained, results, saved_model, settings, splits
from tljax.batches import Evaluation, Pictures, Training, one_shape
from tljax.checkpoint import opened
from tljax.cli import start
from tljax.errors import gather
from tljax.evaluate import Evaluator
from tljax.job import GROUP_COLUMNS, Job
from tljax.network import Network
from tljax.plugins import find
from tljax.report import Report
from tljax.train_loop import Loop
from tljax.train_state import TrainState
from tljax.train_step import make_eval_step


def run(config: Any, workdir: Path) -> dict[str, Any]:
    """The whole experiment; on the folder of a run cut off, the rest of it; on a finished one, its result."""
    settings.check(config)
    report = Report(workdir, config)
    if finished := report.finished():
        return finished
    strategy, task = find("strategies", config.strategy.name), find("tasks", config.task.name)
    family, devices = find("models", config.model.family), parallel.make(config.parallel)
    batch_size, eval_size = settings.batch_size(config.train, devices.devices)
    optimizer.check(config.optimizer)
    backbone = family.build(config.model.variant, dtype=config.model.dtype, bn_axis=devices.axis)

    # What the input is, checked as a whole before anything is written.
    dataset, (published, card) = gather(
        lambda: find("data", config.data.source).load(config.data),
        lambda: pretrained.fetch(config.model, wanted=strategy.PRETRAINED),
    )
    parts, classes = splits.choose(dataset, config.data, config.seed)
    decoded = gather(*(partial(Pictures, subset, config.data, card) for subset in parts.values()))
    pictures: dict[str, Pictures] = dict(zip(parts, decoded, strict=True))
    prepare = preprocess.make(config.data, card, one_shape(pictures))
    training = Training(pictures["train"], batch_size=batch_size, seed=config.seed)
    evaluations = {part: Evaluation(pictures[part], batch_size=eval_size) for part in pictures}

    # What learns, and how fast.
    network = Network(backbone, task.head(len(classes)))
    names, adapt = family.names(config.model.variant), getattr(family, "adapt", None)
    example = preprocess.example(config.data)
    variables, drawn = pretrained.start(
        network, example, seed=config.seed, published=published, names=names, unused=family.UNUSED, adapt=adapt
    )
    groups = layer_groups.assign(variables["params"], backbone.stages, config.groups)
    phases = strategy.plan(groups, config.strategy)
    job = Job(network, task, prepare, groups, phases, training.steps(config.train.epochs), config, devices.axis)
    begin = TrainState.create(variables, seed=config.seed)
    tables = job.tables(begin)

    report.open({part: subset.fingerprint() for part, subset in pictures.items()} | {"classes": ", ".join(classes)})
    skipped = [row for part in pictures.values() for row in part.skipped]
    report.inputs(config, dataset.info, pictures, skipped, published, drawn)
    for title, rows in tables:
        report.table(title, GROUP_COLUMNS, rows)
    evaluator = Evaluator(make_eval_step(network, task, prepare, axis=devices.axis), devices, report.compiling)
    with opened(workdir / "checkpoints", keep=config.train.keep_checkpoints) as checkpoints:
        state = Loop(job, training, evaluations.get("validation"), evaluator, devices, checkpoints, report).fit(begin)
    final = devices.put_state(state.variables())
    totals = {part: evaluator(final, evaluations[part]) for part in evaluations}
    origin = published.card.repository or published.where if published else ""
    saved_model.save(
        workdir / "model",
        state.variables(),
        names,
        card=card,
        classes=classes,
        config=config,
        started_from=origin,
    )
    return report.finish(results.make(job, state, totals), totals, classes)


if __name__ == "__main__":
    sys.exit(start(run, sys.argv))
