"""A run's own config: the keys that all runs share, and the options of the plugins that it chooses."""

from typing import Any

from ml_collections import ConfigDict

from tljax.core import config_tables, options, plugins
from tljax.core.config_tables import get, is_table, put
from tljax.core.errors import ConfigError
from tljax.core.options import lookup
from tljax.core.untrusted import Record


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
    for section in options.SECTIONS:
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
    declares, own, faults, notes = options.declared(config, section), ConfigDict(sort_keys=False), [], []
    for name in options.shared(section):
        own[name] = config_tables.copied({name: config[section][name]})[name]
    values = _values(config[section], section, declares)
    for name, option in declares.items():
        try:
            put(own, name, typed(values.pop(name, option.default), option.default))
        except TypeError as error:
            faults.append(f"config.{section}.{name} must be {error}.")
    defaults = options.offered(section)
    for name, value in values.items():
        if name not in options.shipped(section):
            faults.append(str(lookup.unknown(config, section, name)))
        elif name not in defaults or (config_tables.flat(value) if is_table(value) else value) != defaults[name]:
            whose = " and ".join(map(plugins.name, options.chosen(config, section))) or "nothing"
            notes.append(f"config.{section}.{name} is left out: {whose} has no such option")
    if faults:
        raise ConfigError("\n".join(faults))
    own.lock()
    for name in options.shared(section):
        if isinstance(own[name], ConfigDict):
            config_tables.lock_as(own[name], config[section][name])
    for name, option in declares.items():
        if is_table(option.default):
            get(own, name).unlock()
    return own, notes


def typed(value: Any, like: Any) -> Any:
    """`value` in the type of an option's default, `like`.

    Raises:
      TypeError: it has another type; the message says which it must have.
    """
    is_flag = isinstance(value, bool)
    if is_table(like):
        if is_table(value):
            return value
        raise TypeError(f"a table; got {value!r}")
    if isinstance(like, bool):
        if is_flag:
            return value
    elif isinstance(like, float):
        if isinstance(value, int | float) and not is_flag:
            return float(value)
    elif isinstance(like, tuple):
        if isinstance(value, tuple | list):
            return tuple(value)
    elif isinstance(value, type(like)) and not is_flag:
        return value
    raise TypeError(f"of type {type(like).__name__}, like {like!r}; got {value!r}")


def _values(table: ConfigDict, section: str, declares: options.Options) -> Record:
    """Option -> value, for the keys of a section that not all runs share."""
    tables = {name.partition(".")[0] for name in (*declares, *options.shipped(section)) if "." in name}
    old: dict[str, str] = {}
    for name, by_plugin in options.shipped(section).items():
        old.update({option.was: name for option in by_plugin.values() if option.was})
    old.update({option.was: name for name, option in declares.items() if option.was})
    values: Record = {}
    for key, value in table.items():
        key = str(key)
        if options.is_shared(section, key):
            continue
        if key in tables and is_table(value):
            values |= {f"{key}.{name}": entry for name, entry in value.items()}
        else:
            values[old.get(key, key)] = value
    return values
