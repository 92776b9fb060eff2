"""Changes of a config from the command line and the rows of a suite: "dotted.key=value"."""

import ast
import copy
import difflib
from collections.abc import Iterable
from typing import Any

from ml_collections import ConfigDict

from tljax.core import settings
from tljax.core.errors import ConfigError


def apply(config: Any, changes: Iterable[str]) -> Any:
    """A copy of `config` with every "dotted.key=value" applied; values keep the key's type.

    Tables that are not locked (`groups`, `optimizer.kwargs`, ...) take new keys too, tables among them
    ("optimizer.kwargs.mask.low=true"), and are replaced as a whole by a dict: "groups={}",
    "groups={'low': 'stem..stage2', 'head': 'head'}".

    Raises:
      ConfigError: unknown keys, or values of another type; all are listed.
    """
    changed = _copy(config)
    _lock_as(changed, config)
    failures = []
    for change in changes:
        try:
            _set(changed, change)
        except ConfigError as error:
            failures.append(str(error))
    if failures:
        raise ConfigError("\n".join(failures))
    return changed


def _copy(config: Any) -> Any:
    """A copy in the same order; `copy.deepcopy` would sort its keys."""
    new = ConfigDict(sort_keys=False)
    for key, value in config.items():
        new[key] = _copy(value) if isinstance(value, ConfigDict) else copy.deepcopy(value)
    return new


def _lock_as(new: Any, old: Any) -> None:
    (new.lock if old.is_locked else new.unlock)()  # with all tables below
    for key, value in old.items():
        if isinstance(value, ConfigDict):
            _lock_as(new[key], value)


def _set(config: Any, change: str) -> None:
    key, equals, text = change.partition("=")
    *parents, last = key.split(".")
    table = config
    for parent in parents:
        table = _below(table, parent)
    if not equals or not isinstance(table, ConfigDict) or (table.is_locked and last not in table):
        raise ConfigError(_unknown(config, key, equals))
    try:
        value = _typed(text, table[last]) if table.is_locked else _literal(text)
    except (KeyError, ValueError) as error:
        like = table[last]
        must = f"of type {type(like).__name__}, like {like!r}"
        must = "a table; set its keys" if isinstance(like, ConfigDict) else must
        must += ", words in brackets in quotes: \"('a', 'b')\", or a,b" if isinstance(like, tuple) else ""
        raise ConfigError(f"config.{key} must be {must}; got '{text}'.") from error
    with table.ignore_type():  # 1 -> 0.5 in an open table; elsewhere the value has the type already
        table[last] = value


def _below(table: Any, key: str) -> Any:
    """The table at `key` of a table; an open one gets a new one there if it has none. None: there is no table."""
    if isinstance(table, ConfigDict) and key not in table and not table.is_locked:
        table[key] = ConfigDict(sort_keys=False)
    return table[key] if isinstance(table, ConfigDict) and key in table else None


def _typed(text: str, like: Any) -> Any:
    """`text` as a value of the type of `like`; KeyError or ValueError if it is none."""
    if isinstance(like, bool):
        return {"true": True, "false": False}[text.lower()]
    if not isinstance(like, tuple | ConfigDict):
        return type(like)(text)
    value = _literal(text)
    if isinstance(like, tuple):
        if isinstance(value, str) and value == text:  # no literal: words, which need no quotes outside of brackets
            if text.startswith(("(", "[")):
                raise ValueError("words in brackets must be quoted")
            return tuple(word.strip() for word in text.split(",") if word.strip())
        return tuple(value) if isinstance(value, tuple | list) else (value,)
    if like.is_locked or not isinstance(value, dict):
        raise ValueError("only an open table is replaced as a whole, by a dict")
    return ConfigDict(value, sort_keys=False)


def _literal(text: str) -> Any:
    """A Python literal, true or false, else the text itself."""
    try:
        return ast.literal_eval(text.capitalize() if text in ("true", "false") else text)
    except (ValueError, SyntaxError):
        return text


def _unknown(config: Any, key: str, equals: str) -> str:
    known = list(settings.as_flat(config))
    same_name = [name for name in known if name.rpartition(".")[2] == key.rpartition(".")[2]]
    close = difflib.get_close_matches(key, known, n=1) or same_name[:1]
    hint = f" Did you mean 'config.{close[0]}'?" if close else ""
    what = "is no key" if equals else "must be given a value, as in key=value"
    return f"config.{key} {what}: every key stands in configs/default.py.{hint}"
