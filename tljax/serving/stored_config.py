"""The config that a run keeps in its folder, read again: how its data are read. A folder travels, so it is checked."""

import importlib
from collections.abc import Sequence
from pathlib import Path

from ml_collections import ConfigDict

from tljax.core import atomic, config_files, config_tables, options, plugins, settings
from tljax.core.errors import ConfigError, DataError
from tljax.core.experiment import READ
from tljax.core.options import resolution
from tljax.core.types import Json

NEEDED = ("seed", "data", "train")  # of config.json
FILE = "config.json"


def place(run: Path) -> Path | None:
    """The config.json of a run, `run` being its folder or the folder model/ in it; None where there is none."""
    return next((folder / FILE for folder in (run, run.parent) if (folder / FILE).is_file()), None)


def read(file: Path, family: str) -> ConfigDict:
    """The config of a finished run as far as it says how data are read: `seed`, `data` and `train.eval_batch_size`.

    All other keys have their defaults. The source goes by its short name: no code runs because a folder names it.

    Args:
      family: of its network, which says what options pictures or texts have.

    Raises:
      DataError: config.json is damaged, or of another version.
      ConfigError: the source is a plugin that the user must give.
    """
    return _read(file, _default(family), ("data",))


def read_network(file: Path, *, family: str, task: str) -> ConfigDict:
    """As `read`, and what says with which network the run began: the table `model` too, and the task.

    Args:
      family: see `read`.
      task: of the run, as its model.json names it.

    Raises:
      DataError, ConfigError: see `read`.
    """
    config = _default(family)
    config.task.name = plugins.name(plugins.find_known("tasks", task))
    return _read(file, config, ("data", "model"))


def read_run(file: Path, *, family: str, task: str) -> ConfigDict:
    """As `read_network`, and how the run evaluated and chose its epoch: the tables `task` and `train` too.

    Raises:
      DataError, ConfigError: see `read`.
    """
    config = _default(family)
    config.task.name = plugins.name(plugins.find_known("tasks", task))
    return _read(file, config, ("data", "model", "task", "train"))


def _read(file: Path, config: ConfigDict, tables: Sequence[str]) -> ConfigDict:
    """`config` with the seed, `train.eval_batch_size` and these tables of a config.json; family and task stay."""
    said = atomic.read_json(file, keys=(*NEEDED, *tables))
    try:
        source = _known(str(said["data"]["source"]))
        config.seed = resolution.typed(said["seed"], 0)
        config.train.eval_batch_size = resolution.typed(said["train"]["eval_batch_size"], 0)
        own = {
            "data": {"source": source},
            "model": {"family": config.model.family},
            "task": {"name": config.task.name},
        }
        said["data"] = {**said["data"], **_settled(file, said["data"])}
        for table in tables:
            _fill(config, table, {**said[table], **own.get(table, {})})
        return settings.resolve(config)[0]
    except (AttributeError, KeyError, TypeError, OverflowError, ConfigError) as error:
        raise DataError(
            f"'{file}' must hold how a run of this version reads its data: {error} Run it again, name another run, or "
            f"give its plugins by --plugins FILE."
        ) from error


def _settled(file: Path, data: Json) -> Json:
    """The keys of config.data that the source found out in training (`Info.settled`), from the run's inputs.json."""
    beside = file.with_name("inputs.json")
    found = atomic.read_json(beside).get(READ, {}) if beside.is_file() else {}
    return {key: value for key, value in found.items() if key in data}


def of_source(source: str, family: str) -> ConfigDict:
    """The default config for another source of data."""
    config = _default(family)
    config.data.source = source
    return settings.resolve(config)[0]


def _default(family: str) -> ConfigDict:
    config_files.make_importable()
    config = importlib.import_module("configs.default").get_config()
    config.model.family = family
    return config


def _fill(config: ConfigDict, table: str, said: Json) -> None:
    """Put the stored keys into a table of `config`; those that all runs share must have the default's type."""
    values = config[table]
    for key, value in config_tables.flat(said).items():
        typed = resolution.typed(value, config_tables.get(values, key)) if options.is_shared(table, key) else value
        config_tables.put(values, key, typed)


def _known(source: str) -> str:
    """ "mine" of "path/to/mine.py" and of "package.mine", where such a plugin is there."""
    name = source.removesuffix(".py").replace("/", ".").rpartition(".")[2]
    return plugins.name(plugins.find_known("sources", name))
