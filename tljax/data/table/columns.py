"""Columns of a table by the names that the config has for them, and what a cell may not be."""

import difflib
import json
import math
import re
from collections.abc import Sequence

from tljax.core.types import Record
from tljax.data import spelling

LINES = re.compile("\r\n|\r|\n")
Rows = list[tuple[int, Record]]  # (the line where it begins, column of the config -> cell)


def missing(name: str, names: Sequence[str]) -> str:
    """What to say of a column that is not there."""
    close = difflib.get_close_matches(name, names, n=1)
    return f"must have the column '{name}' (config.data.columns); it has {', '.join(names)}." + (
        f" Did you mean '{close[0]}'?" if close else ""
    )


def column(name: str, names: Sequence[str]) -> str | None:
    """The name in the table that is meant: this one, or the only one that differs in case and spaces alone."""
    alike = [other for other in names if spelling.key(other) == spelling.key(name)]
    return name if name in names else alike[0] if len(alike) == 1 else None


def fault(value: object) -> str:
    """Why this is no text and no name of a class, as people would say it; "" where it is."""
    kind = {list: "a list", dict: "an object", bool: "true or false", type(None): "null"}.get(type(value), "")
    if isinstance(value, float) and not math.isfinite(value):
        kind = "no number"
    return f"{json.dumps(value)[:40]} ({kind})" if kind else ""
