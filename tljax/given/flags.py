"""The words of a command line: what is given, the run's folder, and keys of the config as flags."""

import argparse
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from tljax.core import atomic, settings
from tljax.core.errors import ConfigError
from tljax.core.near_names import near
from tljax.core.remote import mirror

if TYPE_CHECKING:  # what a config needs takes a second to import, and --help shall not wait for it
    from tljax.given.config import Given

PREFIX = "--config."
# Flags that stand for keys.
SHORT = {
    "lr": "optimizer.lr",
    "epochs": "train.epochs",
    "batch_size": "train.batch_size",
    "size": "data.size",
    "strategy": "strategy.name",
    "weights": "model.weights",
    "seed": "seed",
    "profile": "profile",
    "minutes": "train.minutes",
    "text": "data.columns.text",
    "image": "data.columns.image",
    "label": "data.columns.label",
    "labels": "data.labels",
    "group": "data.group",
    "masks": "data.masks",
    "pictures": "data.pictures",
    "ignore": "data.ignore",
}
USAGE = "tljax train [FOLDER | TABLE | CONFIG[:ROW]] [--lr 0.01 ...] [--config.KEY=VALUE ...] [--workdir FOLDER]"
WHAT_HELP = (
    "a folder of class folders (pictures or texts), with or without train, val and test above them; a folder of "
    "pictures and of their masks, or of boxes (COCO, Pascal VOC, YOLO); a COCO json; "
    "a table (csv, tsv, jsonl, parquet) of texts or of paths of pictures; or a config"
)
CONFIG_HELP = "a Python file with get_config(), or the name of one that comes with tljax; and a row of it"


class Asked(NamedTuple):
    """What a command line asks for."""

    given: "Given"
    workdir: Path  # on this machine
    home: str  # the same as the command line names it: a path, or an address
    changes: list[str]  # "key=value" of its flags
    options: argparse.Namespace


def read(arguments: Sequence[str], *, usage: str = USAGE) -> Asked:
    """The config with its overrides, checked, and the run folder.

    Raises:
      TljaxError: a flag, a key, a value or the config file does not fit; nothing to learn from, or no weights.
    """
    flags, changes = split(arguments)
    options = _parser(usage).parse_args(flags)
    changes += of_short(options)
    from tljax.given import config

    if options.what and options.config:
        raise ConfigError(f"Give one thing to train on; got '{options.what}' and --config={options.config}.")
    given = config.read(options.what or options.config or "configs/digits.py", changes)
    settings.check(given.config)
    home = options.workdir or f"runs/{given.name}"
    workdir = _folder(home)
    if workdir.exists() and not workdir.is_dir():
        raise ConfigError(f"--workdir must be a folder, or nothing yet; '{workdir}' is a file.")
    if not (workdir / "result.json").exists():  # of a finished run nothing is written
        atomic.check_folder(workdir)
    return Asked(given, workdir, home, changes, options)


def _folder(name: str) -> Path:
    """The folder that --workdir names; "~" is the home folder."""
    try:
        return mirror.folder_of(name)
    except RuntimeError as error:
        raise ConfigError(
            f"--workdir={name} needs a home folder, and this user has none ($HOME is not set)."
        ) from error


def entries(text: str) -> list[str]:
    """What stands between the commas of a flag; those within brackets part nothing: "A:KEY=(1,2),B" is two."""
    return re.split(r",(?![^()]*\))", text)


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """(flags, "key=value" of every --config.key=value, --config.key value or --config.key, which is true)."""
    flags, changes, rest = [], [], list(arguments)
    while rest:
        word = rest.pop(0)
        if not word.startswith(PREFIX):
            flags.append(word)
        elif "=" in word:
            changes.append(word.removeprefix(PREFIX))
        else:
            value = rest.pop(0) if rest and not rest[0].startswith("--") else "true"
            changes.append(f"{word.removeprefix(PREFIX)}={value}")
    return flags, changes


class Parser(argparse.ArgumentParser):
    """What does not fit is a ConfigError, as everywhere."""

    def error(self, message: str) -> NoReturn:
        known = [flag for action in self._actions for flag in action.option_strings]
        meant = [near(flag, known) for flag in re.findall(r"--[\w-]+", message.partition("unrecognized")[2])]
        hints = "".join(f" Did you mean '{flag}'?" for flag in meant if flag)
        raise ConfigError(f"The command line does not fit: {message}.{hints}\n{self.format_usage().strip()}")


def add_short(parser: argparse.ArgumentParser, *, but: Collection[str] = ()) -> None:
    """Add the flags that stand for keys, `but` those that mean something else to this verb, or nothing."""
    for flag, key in SHORT.items():
        if flag not in but:
            parser.add_argument(f"--{flag}", metavar="VALUE", help=f"short for --config.{key}=VALUE")


def of_short(options: argparse.Namespace, *, but: Collection[str] = ()) -> list[str]:
    """ "key=value" of the flags of `add_short`."""
    given = {key: getattr(options, flag) for flag, key in SHORT.items() if flag not in but}
    return [f"{key}={value}" for key, value in given.items() if value is not None]


EPILOG = "Every KEY stands in configs/default.py, or is an option of a plugin: `tljax options` prints them."


def _parser(usage: str) -> Parser:
    parser = Parser(usage=usage, allow_abbrev=False, epilog=EPILOG)
    parser.add_argument("what", nargs="?", metavar="FOLDER, TABLE or CONFIG", help=WHAT_HELP)
    parser.add_argument("--config", help=CONFIG_HELP)
    add_short(parser)
    parser.add_argument("--dry-run", action="store_true", help="check all, take a step, say time and memory")
    parser.add_argument("--workdir", help="folder of the run; default runs/<name>; a second start resumes it")
    parser.add_argument("--require", metavar="KIND", help="gpu, tpu or cpu: stop where jax computes on another device")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser
