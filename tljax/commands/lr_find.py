"""Find a learning rate: an exponential sweep over all groups, or one, of the first phase; curve and suggestion."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from tljax import cli
from tljax.core import overrides, settings
from tljax.core.atomic import check_folder, make_folder, write_json
from tljax.core.errors import ConfigError
from tljax.core.plugins import find
from tljax.core.processes import agreement
from tljax.core.untrusted import Record
from tljax.given import config as given
from tljax.reporting import figures
from tljax.reporting.report import Report
from tljax.runs.preparation import prepare
from tljax.training import features, lr_sweep, parallel, views
from tljax.training.train_state import TrainState

NOT_SHORT = ("group", "lr", "epochs", "minutes", "profile")


def main(arguments: Sequence[str]) -> None:
    """`tljax lr_find [DATA | --config FILE[:ROW]] [--group all|each|NAME] [--config.KEY=VALUE] [--out FOLDER]`.

    With "all", the groups of the plan's first phase learn, at its scales: the suggestion is for optimizer.lr. With a
    name, only this group learns, at scale 1: the suggestion is for the group's own rate. "each" does this for every
    group that learns in the plan, one after another. The loss is that of the run; the term of an adaptation has its
    full weight from the first step on. No run folder is read or written.

    Raises:
      TljaxError: the command line, the config, data or weights do not fit.
    """
    flags, changes = cli.split(arguments)
    options = _parser().parse_args(flags)
    changes += cli.of_short(options, but=NOT_SHORT)
    read = given.of_flags(options.data, options.config, changes)
    config, _ = settings.resolve(read.config)
    if not (0 < options.min < options.max < float("inf") and options.steps > lr_sweep.SETTLED):
        raise ConfigError(
            f"lr_find needs 0 < --min < --max, and more than {lr_sweep.SETTLED} --steps; "
            f"got {options.min:g}, {options.max:g} and {options.steps}."
        )
    cli.keep_compiled()
    folder = Path(options.out or f"runs/lr_find-{read.name}")
    check_folder(folder)
    sweeps = sweep(config, options.group, np.geomspace(options.min, options.max, options.steps).tolist())
    if not agreement.first():
        return
    make_folder(folder)
    found = {group: one.as_json() for group, one in sweeps.items()}
    about = {"rules": lr_sweep.RULES, "rule": lr_sweep.RULE}
    write_json(folder / "lr_find.json", about | {"sweeps": found})
    figures.sweeps(found, folder / "lr_find.png")
    for group, one in found.items():
        print("\n".join(_told(group, one)))
    print(f"{lr_sweep.RULE}: {lr_sweep.RULES[lr_sweep.RULE]} (Gugger 2018). Curves: {folder / 'lr_find.png'}")


def sweep(config: ConfigDict, group: str, rates: Sequence[float]) -> dict[str, lr_sweep.Sweep]:
    """Group, or "all", -> its sweep; each from the same start and over the same batches."""
    if config.adaptation.name:  # if the weight rose during the sweep, the loss would rise with it
        config = overrides.apply(config, ("adaptation.ramp=0.0",))
    devices = parallel.of(config)
    best = find("tasks", config.task.name).BEST_METRIC
    report = Report(features.folder(), config, best=best)  # for what it says: no folder
    prepared = prepare(config, devices, report)
    if prepared.method.fits:
        raise ConfigError(
            f"lr_find needs a strategy that takes steps; '{config.strategy.name}' has no learning rate. Choose another "
            f"config.strategy.name."
        )
    experiment, phases = prepared.experiment, prepared.phases
    learning = [name for name in experiment.groups if any(name in phase.learning for phase in phases)]
    names = {"all": ("all",), "each": tuple(learning)}.get(group, (group,))
    if unknown := [name for name in names if name not in (*learning, "all")]:
        frozen = f" ({', '.join(unknown)} never learns)" if group in experiment.groups else ""
        raise ConfigError(f"--group must be all, each, or one of {', '.join(learning)}; got '{group}'{frozen}.")
    steps = len(rates)
    job = prepared.job(steps, config, devices.axis)
    start, sweeps = TrainState.create(experiment.variables, seed=config.seed), {}
    for name in names:
        scales = phases[0].scales if name == "all" else {other: float(other == name) for other in experiment.groups}
        one = lr_sweep.job_of(job, scales, rates)
        epochs = steps * config.train.batch_size / len(experiment.parts["train"])
        passes = overrides.apply(config, (f"train.epochs={epochs!r}", "train.min_steps=0"))
        # A frozen prefix runs once.
        (view,) = views.make(experiment, one.phases, experiment.task, devices, report, passes)
        report.say(view.note)
        one = dataclasses.replace(one, network=view.network, prepare=view.prepare)
        sweeps[name] = lr_sweep.run(one, start, view.training, devices, rates)
    return sweeps


def _told(group: str, found: Record) -> list[str]:
    what = "optimizer.lr" if group == "all" else f"the rate of group '{group}', alone"
    rules = ", ".join(f"{rule} {rate:.2g}" for rule, rate in found["suggestions"].items())
    at = f"at {found['rates'][-1]:.2g}" if found["rates"] else "at once"
    end = f"ended {at}: {found['ended']}" if found["ended"] else "went on to the highest rate"
    value = f"{found['suggestion']:.2g} ({rules})" if rules else "none"
    return [f"{what}: suggested {value}; the sweep {end}", *(f"  but {doubt}" for doubt in found["doubts"])]


def _parser() -> cli.Parser:
    usage = (
        "tljax lr_find [DATA | --config FILE[:ROW]] [--group all|each|NAME] [--min RATE] [--max RATE] [--steps N] "
        "[--config.KEY=VALUE ...] [--out FOLDER]"
    )
    parser = cli.Parser(prog="tljax lr_find", usage=usage, description=__doc__, allow_abbrev=False)
    parser.add_argument("data", nargs="?", help="a folder or a table of your own, as `tljax train` takes it")
    parser.add_argument("--config", help="Python file with get_config(), and a row of it")
    parser.add_argument("--group", default="all", help="all, each, or the name of a group")
    parser.add_argument("--min", type=float, default=1e-6, help="the lowest rate")
    parser.add_argument("--max", type=float, default=10.0, help="the highest rate")
    parser.add_argument("--steps", type=int, default=100, help="rates from the lowest to the highest")
    parser.add_argument("--out", help="folder of lr_find.json and .png; default runs/lr_find-<config>")
    cli.add_short(parser, but=NOT_SHORT)
    return parser
