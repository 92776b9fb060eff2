"""Find the columns of a table by their names in the config, and check cells."""

import json
import math
import re
from collections.abc import Sequence

from tljax.core import near_names
from tljax.core.types import Record
from tljax.data import spelling

LINES = re.compile("\r\n|\r|\n")
Rows = list[tuple[int, Record]]  # (the line where it begins, column of the config -> cell)


def missing(name: str, names: Sequence[str]) -> str:
    """The error text for a missing column."""
    hint = near_names.did_you_mean(name, names)
    return f"must have the column '{name}' (config.data.columns); it has {', '.join(names)}.{hint}"


def column(name: str, names: Sequence[str]) -> str | None:
    """The name of the column in the table: the same name, or the only one that differs only in case and spaces."""
    alike = [other for other in names if spelling.key(other) == spelling.key(name)]
    return name if name in names else alike[0] if len(alike) == 1 else None


def fault(value: object) -> str:
    """Why a cell is neither a text nor the name of a class, in words; "" if it is one."""
    kind = {list: "a list", dict: "an object", bool: "true or false", type(None): "null"}.get(type(value), "")
    if isinstance(value, float) and not math.isfinite(value):
        kind = "no number"
    return f"{json.dumps(value)[:40]} ({kind})" if kind else ""
