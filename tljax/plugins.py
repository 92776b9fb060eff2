"""The one lookup: a name in a config is a file name in a folder."""

import difflib
import importlib
import pkgutil
from collections.abc import Mapping
from types import ModuleType
from typing import TypeVar

from tljax.errors import ConfigError

Entry = TypeVar("Entry")


def available(folder: str) -> list[str]:
    """The plugins of `tljax/<folder>/`: its file names without `.py`, sorted."""
    package = importlib.import_module(f"tljax.{folder}")
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__))


def find(folder: str, name: str) -> ModuleType:
    """The module `tljax/<folder>/<name>.py`.

    Raises:
      ConfigError: no such file; the message lists those that exist.
    """
    names = available(folder)
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        raise ConfigError(f"'{name}' must be one of the files in tljax/{folder}/: {', '.join(names)}.{hint}")
    return importlib.import_module(f"tljax.{folder}.{name}")


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
