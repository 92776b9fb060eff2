"""Options: the keys of a config that belong to one plugin, declared in its own file.

A plugin has `OPTIONS`, name -> `Option`. "rank" of a strategy is the key `config.strategy.rank`; "auto.much" is the
key `much` of the table `config.strategy.auto`. A plugin may also have `uses(config) -> names`: other plugins of its
kind whose options it takes too. Options of plugins that a config does not choose are left out of a run, with a note:
see `resolution`.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

from ml_collections import ConfigDict

from tljax.core import config_tables, plugins
from tljax.core.config_tables import put
from tljax.core.modules import Plugin
from tljax.core.untrusted import Record

Rule = tuple[str, Callable[[Any], bool]]  # (what must hold, in words; the test of it)

POSITIVE: Rule = ("a finite number > 0", lambda x: math.isfinite(x) and x > 0)
NOT_NEGATIVE: Rule = ("a finite number >= 0", lambda x: math.isfinite(x) and x >= 0)
SHARE: Rule = ("in [0, 1)", lambda x: 0 <= x < 1)
STRINGS: Rule = ("a tuple of strings", lambda xs: isinstance(xs, tuple) and all(isinstance(x, str) for x in xs))


def one_of(*choices: str) -> Rule:
    """The rule of a key whose value is one of `choices`."""
    return f"one of {', '.join(repr(choice) for choice in choices)}", lambda x: x in choices


@dataclasses.dataclass(frozen=True)
class Option:
    """One key: its default, its description (with the source of the default), and its rule.

    A default of {} is an open table, which takes any keys; the rule then applies to each of its values.
    """

    default: Any
    about: str
    rule: Rule | None = None
    was: str = ""  # the key's older name, which configs may still use


Options = Mapping[str, Option]


@runtime_checkable
class HasOptions(Protocol):
    """A plugin with keys of its own."""

    @property
    def OPTIONS(self) -> Options: ...  # noqa: N802 -- a constant of the file


class SeesInput(Plugin, Protocol):
    """What the options of `data` need of a model family: `networks.families.Family` says the rest."""

    @property
    def INPUT(self) -> str: ...  # noqa: N802


@runtime_checkable
class UsesOthers(Protocol):
    """A plugin that takes the options of others of its kind, too."""

    def uses(self, config: ConfigDict) -> tuple[str, ...]:
        """Their names.

        Args:
          config: the section: `config.strategy`.
        """
        ...


# Section of a config -> the kind of plugins that declare its keys.
SECTIONS = {
    "strategy": ("strategies",),
    "task": ("tasks",),
    "adaptation": ("adaptation",),
    "data": ("sources", "inputs"),
    "model": ("families",),
}


def of(plugin: Plugin) -> Options:
    """The options of a plugin."""
    return plugin.OPTIONS if isinstance(plugin, HasOptions) else {}


def chosen(config: ConfigDict, section: str) -> list[Plugin]:
    """The plugins that a config chooses for a section.

    Raises:
      ConfigError: there is none of that name.
    """
    if section == "data":
        return [plugins.find("sources", config.data.source), plugins.find("inputs", family(config).INPUT)]
    if section == "model":
        return [family(config)]
    [kind] = SECTIONS[section]
    name = config[section].name
    if not name:
        return []
    plugin: Plugin = plugins.find(kind, name)
    others = plugin.uses(config[section]) if isinstance(plugin, UsesOthers) else ()
    return [plugin, *(plugins.find(kind, other) for other in others)]


def family(config: ConfigDict) -> SeesInput:
    """The model family that a config chooses."""
    return plugins.find("families", config.model.family)


def declared(config: ConfigDict, section: str) -> dict[str, Option]:
    """Name -> option, for all plugins that a config chooses for a section."""
    return {name: option for plugin in chosen(config, section) for name, option in of(plugin).items()}


@functools.cache
def shipped(section: str) -> dict[str, dict[str, Option]]:
    """Name -> the plugins of tljax that declare it -> the option."""
    table: dict[str, dict[str, Option]] = {}
    for kind in SECTIONS[section]:
        for plugin in plugins.available(kind):
            for name, option in of(plugins.find(kind, plugin)).items():
                table.setdefault(name, {})[plugin] = option
    return table


# section -> the keys that all runs share, recorded by `offer`
_shared: dict[str, tuple[str, ...]] = {}


def offer(config: ConfigDict) -> None:
    """Put the options of all of tljax's plugins into a new config; their sections stay open for other plugins' options.

    If two plugins have different defaults for one name, the key is left out.
    """
    for section in SECTIONS:
        table = config[section]
        _shared[section] = tuple(table)
        config_tables.set_lock(table, locked=False)
        for name, default in offered(section).items():
            put(table, name, default)


def offered(section: str) -> Record:
    """Name -> default, for the options that have one default in all of tljax's plugins."""
    by_plugin = {name: [option.default for option in table.values()] for name, table in shipped(section).items()}
    return {name: first for name, (first, *more) in by_plugin.items() if all(other == first for other in more)}


def shared(section: str) -> tuple[str, ...]:
    """The keys of a section that all runs share."""
    return _shared.get(section, ())


def is_shared(section: str, name: str) -> bool:
    """Whether all runs share a key of a section, or the table that holds it."""
    return name.partition(".")[0] in shared(section)
