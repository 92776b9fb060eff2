"""Files that nobody meant to write: every field of a JSON object in turn replaced by what it must not be."""

import copy
import json
from collections.abc import Iterator
from typing import Any

DEEP = "[" * 100_000 + "]" * 100_000
LONG = 10**400
REMOVED = object()
# What stands in the place of a field; NaN, infinities and numbers of any length are what json reads.
VALUES = (REMOVED, None, True, 0, -1, 10**9, LONG, 0.5, float("nan"), float("inf"), "", "x\x1b[31m", [], [10**9] * 3,
          [None], {}, {"a": 1})  # fmt: skip


def paths(said: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The place of every value, at any depth."""
    inside = said.items() if isinstance(said, dict) else enumerate(said) if isinstance(said, list) else ()
    for key, value in inside:
        yield (*before, key)
        yield from paths(value, (*before, key))


def mutated(said: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(what was changed, the file's text) of every mutation."""
    for text in ("", "null", "[]", '"x"', DEEP, '{"a": ' * 100_000):
        yield text[:20], text
    for place in paths(said):
        for value in VALUES:
            changed = copy.deepcopy(said)
            node = changed
            for key in place[:-1]:
                node = node[key]
            if value is not REMOVED:
                node[place[-1]] = value
            elif isinstance(node, dict):
                del node[place[-1]]
            yield f"{place} = {'nothing' if value is REMOVED else repr(value)[:20]}", json.dumps(changed)
