"""Options: the keys of a config that belong to one plugin, declared in its own file.

A plugin has `OPTIONS`, name -> `Option`. "rank" of a strategy is the key `config.strategy.rank`; "auto.much" is the
key `much` of the table `config.strategy.auto`. A plugin may also have `uses(config) -> names`: other plugins of its
kind whose options it takes too. Options of plugins that a config does not choose are left out of a run, with a note.
"""

import dataclasses
import difflib
import functools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

from ml_collections import ConfigDict

from tljax.core import config_tables, near_names, plugins
from tljax.core.config_tables import get, is_table, put
from tljax.core.errors import ConfigError
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
    found: list[Plugin] = [plugins.find(kind, other) for other in (name, *others)]
    return found


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
    defaults = {name: [option.default for option in table.values()] for name, table in shipped(section).items()}
    return {name: ours[0] for name, ours in defaults.items() if all(one == ours[0] for one in ours)}


def is_shared(section: str, name: str) -> bool:
    """Whether all runs share a key of a section, or the table that holds it."""
    return name.partition(".")[0] in _shared.get(section, ())


def resolve(config: ConfigDict) -> tuple[ConfigDict, list[str]]:
    """A run's own config: the keys that all runs share, and the options (with defaults) of the plugins that it chooses.

    Returns:
      The config, locked except for its open tables; and a line for each key that was left out.

    Raises:
      ConfigError: a plugin does not exist, no plugin has a key, or a value has another type; all are listed.
    """
    new, notes, faults = config_tables.copied(config), [], []
    config_tables.lock_as(new, config)
    config_tables.set_lock(new, locked=False)
    for section in SECTIONS:
        try:
            new[section], left = _own(config, section)
            notes += left
        except ConfigError as error:
            faults.append(str(error))
    config_tables.set_lock(new, locked=config.is_locked)
    if faults:
        raise ConfigError("\n".join(dict.fromkeys(faults)))
    return new, notes


def _own(config: ConfigDict, section: str) -> tuple[ConfigDict, list[str]]:
    """One section of `resolve`, and a line for each key that was left out."""
    declares, own, faults, notes = declared(config, section), ConfigDict(sort_keys=False), [], []
    for name in _shared.get(section, ()):
        own[name] = config_tables.copied({name: config[section][name]})[name]
    values = _values(config[section], section, declares)
    for name, option in declares.items():
        try:
            put(own, name, typed(values.pop(name, option.default), option.default))
        except TypeError as error:
            faults.append(f"config.{section}.{name} must be {error}.")
    known = offered(section)
    for name, value in values.items():
        if name not in shipped(section):
            faults.append(str(unknown(config, section, name)))
        elif name not in known or (config_tables.flat(value) if is_table(value) else value) != known[name]:
            whose = " and ".join(map(plugins.name, chosen(config, section))) or "nothing"
            notes.append(f"config.{section}.{name} is left out: {whose} has no such option")
    if faults:
        raise ConfigError("\n".join(faults))
    own.lock()
    for name in _shared.get(section, ()):
        if isinstance(own[name], ConfigDict):
            config_tables.lock_as(own[name], config[section][name])
    for name, option in declares.items():
        if is_table(option.default):
            get(own, name).unlock()
    return own, notes


def typed(value: Any, like: Any) -> Any:
    """`value` in the type of an option's default.

    Raises:
      TypeError: it has another type; the message says which it must have.
    """
    if is_table(like):
        fits, found = is_table(value), value
    elif isinstance(like, bool):
        fits, found = isinstance(value, bool), value
    elif isinstance(like, float):
        fits, found = isinstance(value, int | float) and not isinstance(value, bool), value
        found = float(value) if fits else value
    elif isinstance(like, tuple):
        fits, found = isinstance(value, tuple | list), value
        found = tuple(value) if fits else value
    else:
        fits, found = isinstance(value, type(like)) and not isinstance(value, bool), value
    if not fits:
        kind = "a table" if is_table(like) else f"of type {type(like).__name__}, like {like!r}"
        raise TypeError(f"{kind}; got {value!r}")
    return found


def _values(table: ConfigDict, section: str, declares: Options) -> Record:
    """Option -> value, for the keys of a section that not all runs share."""
    tables = {name.partition(".")[0] for name in (*declares, *shipped(section)) if "." in name}
    old: dict[str, str] = {}
    for name, ours in shipped(section).items():
        old.update({option.was: name for option in ours.values() if option.was})
    old.update({option.was: name for name, option in declares.items() if option.was})
    values: Record = {}
    for key, value in table.items():
        key = str(key)
        if is_shared(section, key):
            continue
        if key in tables and is_table(value):
            values |= {f"{key}.{name}": one for name, one in value.items()}
        else:
            values[old.get(key, key)] = value
    return values


def near(name: str, names: Iterable[str]) -> str:
    """ " Did you mean ...?" for a name that is close to one of `names` by its letters, else ""."""
    close = difflib.get_close_matches(name, list(names), n=1)
    return f" Did you mean '{close[0]}'?" if close else ""


def hint(config: ConfigDict, key: str) -> str:
    """ " Did you mean ...?" for a key that does not exist, with the most likely key of any plugin; else ""."""
    every = [f"{section}.{name}" for section in SECTIONS for name in (*declared(config, section), *shipped(section))]
    meant = near_names.near(key, dict.fromkeys([*config_tables.flat(config), *every]))
    section, _, name = meant.partition(".")
    whose = shipped(section).get(name, {}) if section in SECTIONS and not is_shared(section, name) else {}
    of = "" if not whose or name in declared(config, section) else f" It is an option of {', '.join(whose)}."
    return f" Did you mean 'config.{meant}'?{of}" if meant else ""


def find(config: ConfigDict, section: str, name: str) -> tuple[str, Option]:
    """(name, option) for a key of a section; a key in an open table belongs to the table's option.

    Raises:
      ConfigError: the plugins that the config chooses have no such option.
    """
    declares = declared(config, section)
    for own, option in declares.items():
        if name in (own, option.was) or (is_table(option.default) and name.startswith(f"{own}.")):
            return own, option
    raise unknown(config, section, name)


def unknown(config: ConfigDict, section: str, name: str) -> ConfigError:
    """The error for an option that none of the chosen plugins has."""
    declares, names = declared(config, section), [plugins.name(plugin) for plugin in chosen(config, section)]
    whose = " and ".join(f"'{one}'" for one in names) or "nothing"
    others = [other for other in shipped(section).get(name, {}) if other not in names]
    meant = f" It is an option of {', '.join(others)}." if others else hint(config, f"{section}.{name}")
    has = ", ".join(f"config.{section}.{one}" for one in declares) or "none"
    return ConfigError(
        f"config.{section}.{name} is no option of {whose}, which the config chooses.{meant} Its options: {has}."
    )
