"""The one lookup of plugins: a name in a config is a file of tljax, of an installed package, or of the user's own.

lora                     tljax/transfer/strategies/lora.py, or what an installed package offers by that name
my_package.mine          a module
path/to/mine.py          a file
"""

import difflib
import importlib
import importlib.metadata
import pkgutil
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any, TypeVar

from tljax.core import modules
from tljax.core.errors import ConfigError
from tljax.core.modules import Plugin

Entry = TypeVar("Entry")

# kind of plugin -> the package whose files they are; installed packages offer theirs as entry points "tljax.<kind>"
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
# The user's own, name -> module: what a run folder may name, because the user gave it (`--plugins FILE`).
_given: dict[str, ModuleType] = {}


def available(kind: str) -> list[str]:
    """The names of tljax's own plugins of a kind: the files of its folder without `.py`, sorted."""
    package = importlib.import_module(f"tljax.{FOLDERS[kind]}")
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__))


def find(kind: str, name: str) -> Any:
    """The plugin that a config or a command line names: a module that has what the protocol of its kind says.

    Raises:
      ConfigError: there is none of that name, or it does not load; the message lists those that exist.
    """
    if not modules.is_file(name) and "." not in name:
        return find_known(kind, name)
    plugin = modules.load(name, f"A plugin beside {_of(kind)}")
    if (short := modules.name(plugin)) in available(kind):
        raise ConfigError(f"'{name}' must not be called as one of {_of(kind)}: tljax has a '{short}'. Rename the file.")
    _given[short] = plugin
    return plugin


def find_known(kind: str, name: str) -> Any:
    """The plugin that a run folder names: tljax's own, an installed package's, or one that the user has given.

    No code runs because a folder names it: a path or a module in `name` is taken only if the user gave that file.

    Raises:
      ConfigError: there is none of that name; the message says how to give it.
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
    close = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    raise ConfigError(
        f"'{name}' must be one of {_of(kind)}: {', '.join(names)}.{hint} "
        f"Your own is named by its file (path/to/{name or 'mine'}.py) or as package.module; of a finished run, give it "
        f"by --plugins FILE."
    )


def give(files: Iterable[str]) -> None:
    """Load the user's own plugins, files or modules, so that what a run folder names is found among them.

    Raises:
      ConfigError: one does not load.
    """
    for file in files:
        plugin = modules.load(file, "--plugins")
        _given[modules.name(plugin)] = plugin


def name(plugin: Plugin) -> str:
    """The name by which `find_known` finds it: the file's own."""
    return modules.name(plugin)


def short(kind: str, spec: str) -> str:
    """The name of what `find` finds: "mine" of "path/to/mine.py"."""
    return name(find(kind, spec))


def entry(table: Mapping[str, Entry], name: str, what: str) -> Entry:
    """The entry `name` of a plugin's own table, such as its variants.

    Raises:
      ConfigError: there is none; the message lists those that exist.
    """
    if name not in table:
        raise ConfigError(f"{what} must be one of {', '.join(table)}; got '{name}'.")
    return table[name]


def _of(kind: str) -> str:
    return f"the files in tljax/{FOLDERS[kind].replace('.', '/')}/"
