"""The prediction for every example, a row each, with the example's name: <part>_predictions.csv."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tljax.core.atomic import whole
from tljax.core.untrusted import printable

Columns = Mapping[str, Sequence[Any] | np.ndarray]  # name -> a value for each example, in the order of the part


def save(file: Path, columns: Columns) -> None:
    """Write columns; the first is the number of the example. Numbers have six digits after the point."""
    with whole(file) as part, part.open("w", newline="", encoding="utf-8") as out:
        rows = csv.writer(out)
        rows.writerow(["example", *columns])
        rows.writerows([i, *map(_cell, row)] for i, row in enumerate(zip(*columns.values(), strict=True)))


def _cell(value: Any) -> Any:
    if isinstance(value, float | np.floating):
        return f"{value:.6f}"
    return printable(value) if isinstance(value, str) else value
