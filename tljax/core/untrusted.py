"""Safe reading of files from strangers: JSON of any depth, fields of any type and size, texts with control codes."""

import dataclasses
import json
import math
import types
import typing
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

Json = Mapping[str, Any]  # a JSON object that is read: a config.json, model.json, a strategy's looked.json
Record = dict[str, Any]  # a JSON object that is written: result.json, a row of a table
LONGEST = 64  # the most entries in a list of sizes: the stages of a network, the blocks of a stage
TURNS = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")  # characters that change the text direction
FINITE = 1e38  # numbers below it are finite as float32
WHOLE = (0, 2**20)  # the default range of a whole number


def parse(text: str, *, hook: Callable[[list[tuple[str, Any]]], object] | None = None) -> Any:
    """The JSON in `text`.

    Args:
      hook: as `object_pairs_hook` of `json.loads`.

    Raises:
      ValueError: it is not JSON, or nested too deep to be read.
    """
    try:
        return json.loads(text, object_pairs_hook=hook)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def faults(
    kind: type, values: Mapping[str, object], ranges: Mapping[str, tuple[float, float]] | None = None
) -> list[str]:
    """The faults of `values` as fields of the dataclass `kind`; lists stand for tuples.

    Args:
      ranges: field -> its least and its largest number; a whole number without an entry has the range WHOLE.
    """
    hints, fields = typing.get_type_hints(kind), {field.name: field for field in dataclasses.fields(kind)}
    lines = [f"{name} is not a field" for name in values if name not in fields]
    needed = (name for name, field in fields.items() if field.default is field.default_factory is dataclasses.MISSING)
    lines += [f"{name} is missing" for name in needed if name not in values]
    for name, value in values.items():
        if name in fields and (must := _must(hints[name], value, (ranges or {}).get(name))):
            lines.append(f"{name} must be {must}; got {shown(value)}")
    return lines


def shown(value: object) -> str:
    """A value as Python writes it; a long one is cut."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _must(hint: object, value: object, limits: tuple[float, float] | None) -> str:
    """What a value of this type must be; "" if the value is valid."""
    if hint is Any or (isinstance(hint, type) and dataclasses.is_dataclass(hint) and isinstance(value, hint)):
        return ""
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        wrong = [_must(one, value, limits) for one in inside]
        return "" if "" in wrong else " or ".join(wrong)
    if origin is tuple:
        return _list_must(inside[0], value, limits)
    if dataclasses.is_dataclass(hint):
        return "; ".join(faults(hint, value)) if isinstance(value, Mapping) else "an object"  # pyright: ignore
    must, fits = _plain(hint, origin, limits)
    return "" if fits(value) else must


def _list_must(hint: object, value: object, limits: tuple[float, float] | None) -> str:
    if not isinstance(value, list | tuple) or len(value) > LONGEST:
        return f"a list of at most {LONGEST}"
    wrong = [must for one in value if (must := _must(hint, one, limits))]
    return f"a list of {wrong[0]}" if wrong else ""


def _plain(hint: object, origin: Any, limits: tuple[float, float] | None) -> tuple[str, Callable[[Any], bool]]:
    """The rule of a plain type: what a value must be, and the test of it."""
    if hint is types.NoneType:
        return "nothing", lambda x: x is None
    if hint is bool:
        return "true or false", lambda x: isinstance(x, bool)
    if hint is int:
        least, most = limits or WHOLE
        return f"a whole number in [{least:g}, {most:.0f}]", lambda x: _is_whole(x) and least <= x <= most
    if hint is float:
        least, most = limits or (-math.inf, math.inf)
        must = f"a finite number in [{least:g}, {most:g}]" if limits else "a finite number"
        return must, lambda x: (_is_whole(x) or isinstance(x, float)) and abs(x) < FINITE and least <= x <= most
    if hint is str:
        return "a text", lambda x: isinstance(x, str)
    return "an object", lambda x: isinstance(x, origin)


def _is_whole(x: object) -> TypeGuard[int]:
    return isinstance(x, int) and not isinstance(x, bool)


def printable(text: str) -> str:
    r"""The text with control codes and direction marks as escapes: "\x1b[31m"."""
    return "".join(ascii(one)[1:-1] if _is_obeyed(one) else one for one in text)


def _is_obeyed(one: str) -> bool:
    turns = unicodedata.bidirectional(one) in TURNS
    return turns or (unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp") and one not in "\n\t")
