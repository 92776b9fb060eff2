"""The one lookup of plugins: a name in a config is a file of tljax, of an installed package, or of the user.

lora                     tljax/transfer/strategies/lora.py, or the plugin of an installed package with this name
my_package.mine          a module
path/to/mine.py          a file
"""

import importlib
import importlib.metadata
import pkgutil
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any, TypeVar

from tljax.core import modules, near_names
from tljax.core.errors import ConfigError
from tljax.core.modules import Plugin

Entry = TypeVar("Entry")

# kind of plugin -> the package that holds them; installed packages offer theirs as entry points "tljax.<kind>"
FOLDERS = {
    "adaptation": "transfer.adaptation",
    "builders": "data.builders",
    "commands": "commands",
    "families": "networks.families",
    "formats": "weights.formats",
    "inputs": "data.inputs",
    "sources": "data.sources",
    "spellings": "weights.spellings",
    "strategies": "transfer.strategies",
    "tasks": "tasks",
    "weight_sources": "weights.sources",
    "writers": "reporting.writers",
}
# Name -> module, for the user's own plugins (`--plugins FILE`): a run folder may name these.
_given: dict[str, ModuleType] = {}


def available(kind: str) -> list[str]:
    """The names of tljax's own plugins of a kind: the files of its folder without `.py`, sorted."""
    package = importlib.import_module(f"tljax.{FOLDERS[kind]}")
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__))


def find(kind: str, name: str) -> Any:
    """The plugin that a config or a command line names: a module with the functions of its kind's protocol.

    Raises:
      ConfigError: there is no such plugin, or it does not load; the message lists the plugins of this kind.
    """
    if not modules.is_file(name) and "." not in name:
        return find_known(kind, name)
    plugin = modules.load(name, f"A plugin beside {_of(kind)}")
    if (short := modules.name(plugin)) in available(kind):
        raise ConfigError(f"'{name}' must not be called as one of {_of(kind)}: tljax has '{short}'. Rename the file.")
    _given[short] = plugin
    return plugin


def find_known(kind: str, name: str) -> Any:
    """The plugin that a run folder names: from tljax, from an installed package, or from `--plugins`.

    A run folder cannot make code run: a path or a module in `name` is used only if the user gave this file.

    Raises:
      ConfigError: there is no such plugin; the message says how to give it.
    """
    own = available(kind)
    if name in own:
        return importlib.import_module(f"tljax.{FOLDERS[kind]}.{name}")
    if name in _given:
        return _given[name]
    offered = {point.name: point for point in importlib.metadata.entry_points(group=f"tljax.{kind}")}
    if name in offered:
        return offered[name].load()
    names = [*own, *offered]
    raise ConfigError(
        f"'{name}' must be one of {_of(kind)}: {', '.join(names)}.{near_names.did_you_mean(name, names)} "
        f"Name your own plugin by its file (path/to/{name or 'mine'}.py) or as package.module; for a finished run, "
        f"give it with --plugins FILE."
    )


def give(files: Iterable[str]) -> None:
    """Load the user's own plugins, files or modules, so that a run folder may name them.

    Raises:
      ConfigError: a plugin does not load.
    """
    for file in files:
        plugin = modules.load(file, "--plugins")
        _given[modules.name(plugin)] = plugin


def name(plugin: Plugin) -> str:
    """The name by which `find_known` finds the plugin: that of its file."""
    return modules.name(plugin)


def short(kind: str, spec: str) -> str:
    """The short name of a plugin: "mine" for "path/to/mine.py"."""
    return name(find(kind, spec))


def entry(table: Mapping[str, Entry], name: str, what: str) -> Entry:
    """The entry `name` of a plugin's table, such as its variants.

    Raises:
      ConfigError: there is no such entry; the message lists all.
    """
    if name not in table:
        raise ConfigError(f"{what} must be one of {', '.join(table)}; got '{name}'.")
    return table[name]


def _of(kind: str) -> str:
    return f"the files in tljax/{FOLDERS[kind].replace('.', '/')}/"
