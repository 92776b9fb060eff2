"""Changes of a config from the command line and the rows of a suite: "dotted.key=value"."""

import ast
from collections.abc import Iterable
from typing import Any

from ml_collections import ConfigDict

from tljax.core import config_tables, options
from tljax.core.errors import ConfigError
from tljax.core.options import lookup, resolution

# The keys that choose plugins. They are set first, because they decide which other keys exist.
CHOICES = ("strategy.name", "task.name", "adaptation.name", "data.source", "model.family")


def apply(config: ConfigDict, changes: Iterable[str]) -> ConfigDict:
    """A copy of `config` with every "dotted.key=value" applied; values keep the key's type.

    Tables that are not locked (`groups`, `optimizer.kwargs`, ...) take new keys too, tables among them
    ("optimizer.kwargs.mask.low=true"), and are replaced as a whole by a dict: "groups={}",
    "groups={'low': 'stem..stage2', 'head': 'head'}".
    An option may be set if the changed config, or a row of its suite, chooses the plugin that has it.

    Raises:
      ConfigError: unknown keys, or values of another type; all are listed.
    """
    changed = config_tables.copied(config)
    config_tables.lock_as(changed, config)
    failures = []
    for change in sorted(changes, key=lambda change: change.partition("=")[0].strip() not in CHOICES):
        try:
            _set(changed, change)
        except ConfigError as error:
            failures.append(str(error))
    if failures:
        raise ConfigError("\n".join(failures))
    # A run's own config holds only the options of its plugins: make it again for the new choice.
    return resolution.resolve(changed)[0] if config.get("strategy") and config.strategy.is_locked else changed


def _set(config: ConfigDict, change: str) -> None:
    key, equals, text = change.partition("=")
    section, _, name = key.partition(".")
    if equals and section in options.SECTIONS and name and not options.is_shared(section, name):
        _set_option(config, section, name, text)
        return
    *parents, last = key.split(".")
    table = config
    for parent in parents:
        table = _below(table, parent)
    whole = section in options.SECTIONS and table is config.get(section)  # open for options of plugins, not for any key
    is_open = isinstance(table, ConfigDict) and not table.is_locked and not whole
    if not equals or not isinstance(table, ConfigDict) or (not is_open and last not in table):
        raise ConfigError(_unknown(config, key, equals))
    with table.ignore_type():  # 1 -> 0.5 in an open table; elsewhere the value has the type already
        table[last] = _literal(text) if is_open else _value(key, text, table[last])


def _set_option(config: ConfigDict, section: str, name: str, text: str) -> None:
    """Set an option of a plugin, or a key in an option that is an open table."""
    own, option = _declared(config, section, name)
    is_whole = name in (own, option.was)
    value = _value(f"{section}.{name}", text, _like(option)) if is_whole else _literal(text)
    locked = config[section].is_locked
    config_tables.set_lock(config[section], locked=False)
    config_tables.put(config[section], own if is_whole else name, value)
    config_tables.set_lock(config[section], locked=locked)


def _declared(config: ConfigDict, section: str, name: str) -> tuple[str, options.Option]:
    """(name, option) for a key, among the plugins that the config or a row of its suite chooses."""
    try:
        return lookup.find(config, section, name)
    except ConfigError as error:
        for row in config.suite.rows.values() if "suite" in config else ():
            choices = [change for change in row if change.partition("=")[0].strip() in CHOICES]
            one = config_tables.copied(config)
            for choice in choices:
                _set(one, choice)
            try:
                return lookup.find(one, section, name)
            except ConfigError:
                continue
        raise error


def _like(option: options.Option) -> object:
    default = option.default
    return config_tables.copied(ConfigDict(default)).unlock() if config_tables.is_table(default) else default


def _value(key: str, text: str, like: object) -> object:
    """`text` as a value of the type of `like`.

    Raises:
      ConfigError: it cannot be converted.
    """
    try:
        return _typed(text, like)
    except (KeyError, ValueError) as error:
        must = f"of type {type(like).__name__}, like {like!r}"
        must = "a table; set its keys" if isinstance(like, ConfigDict) else must
        must += ", words in brackets in quotes: \"('a', 'b')\", or a,b" if isinstance(like, tuple) else ""
        raise ConfigError(f"config.{key} must be {must}; got '{text}'.") from error


def _below(table: object, key: str) -> object:
    """The table at `key`; if `table` is open and has no such key, a new table is made. None: there is no table."""
    if isinstance(table, ConfigDict) and key not in table and not table.is_locked:
        table[key] = ConfigDict(sort_keys=False)
    return table[key] if isinstance(table, ConfigDict) and key in table else None


def _typed(text: str, like: Any) -> object:
    """`text` as a value of the type of `like`; KeyError or ValueError if it cannot be converted."""
    if isinstance(like, bool):
        return {"true": True, "false": False}[text.lower()]
    if not isinstance(like, tuple | ConfigDict):
        return type(like)(text)
    value = _literal(text)
    if isinstance(like, tuple):
        if isinstance(value, str) and value == text:  # a word, which needs no quotes outside of brackets
            if text.startswith(("(", "[")):
                raise ValueError("words in brackets need quotes")
            return tuple(word.strip() for word in text.split(",") if word.strip())
        return tuple(value) if isinstance(value, tuple | list) else (value,)
    if like.is_locked or not isinstance(value, dict):
        raise ValueError("only an open table is replaced as a whole, by a dict")
    return ConfigDict(value, sort_keys=False)


def _literal(text: str) -> object:
    """A Python literal, true or false, else the text itself."""
    try:
        return ast.literal_eval(text.capitalize() if text in ("true", "false") else text)
    except (ValueError, SyntaxError):
        return text


def _unknown(config: ConfigDict, key: str, equals: str) -> str:
    fault = "is no key" if equals else "must be given a value, as in key=value"
    hint = "" if key in config_tables.flat(config) else lookup.hint(config, key)
    return f"config.{key} {fault}: every key stands in configs/default.py.{hint}"
