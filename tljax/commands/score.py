"""Rank pretrained weights for a data set before anything is trained: transferability scores on frozen features."""

import re
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from tljax import cli
from tljax.core import overrides, plugins, settings
from tljax.core.atomic import check_folder, make_folder, write_json
from tljax.core.errors import ConfigError, TljaxError
from tljax.core.experiment import Experiment
from tljax.core.processes import agreement
from tljax.core.trees import flatten
from tljax.core.types import Card, Record
from tljax.core.untrusted import printable
from tljax.data import preprocess
from tljax.given import config as given
from tljax.networks.network import Network
from tljax.reporting.terminal import Screen, show
from tljax.runs import experiment
from tljax.tasks import HasHead
from tljax.training import features, parallel
from tljax.transfer.transferability import scores
from tljax.weights import placement, pretrained

FIRST = ("weights", "LogME", "kNN", "LEEP", "H-score", "NCE")  # columns, where not all fit
# The scores that the table shows as per cent.
PERCENT = ("kNN",)
NOT_SHORT = ("weights", "strategy", "lr", "epochs", "minutes", "profile")


def main(arguments: Sequence[str]) -> None:
    """`tljax score [DATA | --config FILE[:ROW]] [--weights A,B:KEY=VALUE,...] [--config.KEY=VALUE ...] [--out FOLDER]`.

    Features are those of the training part, computed once and cached. LEEP and NCE need the weights' own classifier and
    are "-" without one. If the card does not name family and variant, name them after the weights:
    `--weights 'net.safetensors:model.family=vit:model.variant=tiny16'`.

    Raises:
      ConfigError: the command line does not fit.
      TljaxError: the error of the last weights that could not be scored, after the table of the others is printed.
    """
    flags, changes = cli.split(arguments)
    options = _parser().parse_args(flags)
    changes += cli.of_short(options, but=NOT_SHORT)
    config = given.of_flags(options.data, options.config, changes, default="configs/digits.py").config
    entries = cli.entries(options.weights) if options.weights else [config.model.weights]
    configs = {entry: _configured(config, entry) for entry in entries}  # all mistakes are reported first
    if options.out:
        check_folder(options.out)
    cli.keep_compiled()
    rows, failure = {}, None
    for entry, one in configs.items():
        try:
            rows[entry] = score(one)
        except TljaxError as error:
            print(printable(f"{entry}: {error}"))
            failure = error
    ranked = dict(sorted(rows.items(), key=lambda item: -item[1]["LogME"]))
    if ranked:
        cells = [[_name(entry, ranked), *map(_cell, row, row.values())] for entry, row in ranked.items()]
        columns = ("weights", *next(iter(ranked.values())))
        show("by LogME; larger is better", columns, cells, first=FIRST)
    if options.out and agreement.first():
        make_folder(options.out)
        write_json(options.out / "scores.json", ranked)
    if failure:
        raise failure


def score(config: ConfigDict) -> Record:
    """One row: sizes, the scores of `transferability.scores`, and the seconds that features and scores took."""
    devices, task = parallel.of(config), plugins.find("tasks", config.task.name)
    settings.batch_size(config.train, devices.devices)
    if task.LABEL_KIND != "classes":
        has = "no labels" if task.LABEL_KIND == "none" else task.LABEL_KIND
        raise ConfigError(f"score is about classes; config.task.name={config.task.name} has {has}.")
    made = experiment.load(config, axis=devices.axis)
    parts = features.vectors(made, "memory", devices, Screen(), config)
    train = parts["train"].take(np.arange(len(parts["train"])))
    rows, labels = train["features"].astype(np.float64), train["label"]
    began = time.monotonic()
    found = scores(rows, labels, source_logits(made, task, rows, config))
    seconds = {"features s": parts["train"].took.seconds, "scores s": time.monotonic() - began}
    return {"examples": len(rows), "width": rows.shape[1], **found, **seconds}


def source_logits(made: Experiment, task: HasHead, rows: np.ndarray, config: ConfigDict) -> np.ndarray | None:
    """The logits (N, Z) of the weights' own classifier for features (N, D); None if there is no classifier."""
    family, published = plugins.find("families", config.model.family), made.published
    assert published is not None  # `experiment.load` has read them
    bias = next((row.published for row in made.names if row.path == "head/bias"), "")
    if bias not in published.arrays:
        return None
    network = Network(made.network.backbone, task.head(len(published.arrays[bias])))
    variables, _ = placement.start(
        network,
        preprocess.example(config.data, made.card),
        seed=0,
        published=published,
        names=made.names,
        unused=family.UNUSED,
        adapt=getattr(family, "adapt", None),
        head=True,
    )
    head = flatten(variables["params"]["head"])
    return rows @ head["kernel"].astype(np.float64) + head["bias"]


def _configured(config: ConfigDict, entry: str) -> Any:
    """The config of one entry, "WEIGHTS:KEY=VALUE:KEY=VALUE"; family and variant may come from the weights' card."""
    spec, *changes = _parts(entry)
    if not spec:
        raise ConfigError("tljax score needs weights: --weights A,B or --config.model.weights=A.")
    said = {change.partition("=")[0] for change in changes}
    card = _card(spec, Path(config.model.lock_file))
    known = [f"model.{key}={getattr(card, key)}" for key in ("family", "variant") if getattr(card, key)]
    known = [change for change in known if change.partition("=")[0] not in said]
    if known and not any(key.startswith("model.card.") for key in said):
        known += ["model.card.mean=()", "model.card.std=()"]  # the card's own
    one = overrides.apply(config, [f"model.weights={spec}", *known, *changes])
    one.groups = ConfigDict()  # nothing learns, and families differ in their stages
    return settings.resolve(one)[0]


def _card(spec: str, lock: Path) -> Card:
    """The card of weights that have one; else an empty one."""
    try:
        return pretrained.read_card(spec, card=None, lock=lock)
    except TljaxError:
        return Card(mean=(), std=())  # faults of the weights are reported when they are read


def _name(entry: str, entries: Iterable[str]) -> str:
    """The weights without their keys, if this name is unique."""
    spec = _parts(entry)[0]
    return spec if sum(_parts(other)[0] == spec for other in entries) == 1 else entry


def _parts(entry: str) -> list[str]:
    return re.split(r":(?=[\w.]+=)", entry)


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name in PERCENT:
        return f"{100 * value:.2f} %"
    return f"{value:,}" if isinstance(value, int) else f"{value:.1f}" if name.endswith(" s") else f"{value:.4f}"


def _parser() -> cli.Parser:
    usage = (
        "tljax score [DATA | --config FILE[:ROW]] [--weights A,B:KEY=VALUE,...] [--config.KEY=VALUE ...] [--out FOLDER]"
    )
    parser = cli.Parser(prog="tljax score", usage=usage, description=__doc__, allow_abbrev=False)
    parser.add_argument("data", nargs="?", help="a folder or a table of your own, as `tljax train` takes it")
    parser.add_argument("--config", help="Python file with get_config(), and a row of it")
    parser.add_argument("--weights", help="zoo entries, files or hub repositories; default: config.model.weights")
    parser.add_argument("--out", type=Path, help="write scores.json here")
    cli.add_short(parser, but=NOT_SHORT)
    return parser
