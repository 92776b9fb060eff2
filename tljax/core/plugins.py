"""The one lookup: a name in a config is a file name in a folder of plugins."""

import difflib
import importlib
import pkgutil
from collections.abc import Mapping
from types import ModuleType
from typing import TypeVar

from tljax.core.errors import ConfigError

Entry = TypeVar("Entry")

# kind of plugin -> the package whose files they are
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


def available(kind: str) -> list[str]:
    """The plugins of a kind: the file names of its folder without `.py`, sorted."""
    package = importlib.import_module(f"tljax.{FOLDERS[kind]}")
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__))


def find(kind: str, name: str) -> ModuleType:
    """The plugin `name` of a kind.

    Raises:
      ConfigError: no such file; the message lists those that exist.
    """
    names = available(kind)
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        folder = FOLDERS[kind].replace(".", "/")
        raise ConfigError(f"'{name}' must be one of the files in tljax/{folder}/: {', '.join(names)}.{hint}")
    return importlib.import_module(f"tljax.{FOLDERS[kind]}.{name}")


def name(plugin: ModuleType) -> str:
    """The name by which `find` finds it."""
    return plugin.__name__.rpartition(".")[2]


def entry(table: Mapping[str, Entry], name: str, what: str) -> Entry:
    """The entry `name` of a plugin's own table, such as its variants.

    Raises:
      ConfigError: there is none; the message lists those that exist.
    """
    if name not in table:
        raise ConfigError(f"{what} must be one of {', '.join(table)}; got '{name}'.")
    return table[name]
