"""Answers as a table: for every example its name, the task's answer, and the probability of each class.

The answer stands as labels did in the training's table: a class in one column; names of a set in one column, with the
same character between them, or a column of 0 and 1 for each; a column for each number.
"""

import collections
import csv
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from tljax.core.atomic import make_folder, whole
from tljax.core.errors import ConfigError
from tljax.data import labels
from tljax.reporting.records import Columns
from tljax.serving.saved_model import Model


class Answers:
    """Rows in order, kept as arrays."""

    def __init__(self, model: Model, name: str, data: ConfigDict | None = None) -> None:
        """
        Args:
          name: what the first column holds: "file", "text" or "id".
          data: config.data of the training, if it is known.
        """
        self._model, self._name = model, name
        own = data is not None and data.get("labels") == "sets"
        self._columns = labels.columns("sets", data.columns.label) if own and data else ()
        self._separator = data.separator if own and data else labels.BETWEEN
        self._names: list[str] = []
        self._outputs: list[np.ndarray] = []

    def __len__(self) -> int:
        return len(self._names)

    def add(self, name: str, outputs: Any) -> None:
        """Add the task's outputs for one example, (K,).

        Raises:
          ConfigError: the task's outputs are not one number for each class.
        """
        numbers = self._model.task.LABEL_KIND == "numbers"  # in their own units, which may need more digits
        row = np.asarray(outputs, np.float64 if numbers else np.float32)
        if row.shape != (len(self._model.classes),):
            raise ConfigError(
                f"--out needs one number for each class; this run's task gives {row.shape} for "
                f"{len(self._model.classes)} classes. Run without --out."
            )
        self._names.append(name)
        self._outputs.append(row)

    @property
    def columns(self) -> Columns:
        """Column -> a value for each row: the name, "prediction" and "p(<class>)"; numbers, and sets that were learned
        from a column for each label, as "<name> predicted".
        """
        model = self._model
        outputs = np.array(self._outputs).reshape(len(self), len(model.classes))
        found: dict[str, Any] = {self._name: self._names}
        if model.task.LABEL_KIND == "numbers":
            return found | {f"{name} predicted": outputs[:, i] for i, name in enumerate(model.classes)}
        said = self._said
        if len(self._columns) > 1:
            found |= {f"{name} predicted": [int(name in names) for names in said] for name in model.classes}
        else:
            found |= {"prediction": [self._cell(names) for names in said]}
        return found | {f"p({name})": outputs[:, i] for i, name in enumerate(model.classes)}

    @property
    def counts(self) -> dict[str, int]:
        """How often each class or label is predicted; of numbers nothing."""
        if self._model.task.LABEL_KIND == "numbers":
            return {}
        found = collections.Counter(name for names in self._said for name in names)
        return {name: found[name] for name in self._model.classes if found[name]}

    @property
    def _said(self) -> list[list[str]]:
        task, classes = self._model.task, self._model.classes
        return [[name for name, _ in task.answer(row, classes, 1)] for row in self._outputs]

    def _cell(self, names: Sequence[str]) -> str:
        """Names in one cell."""
        return labels.joined(names, self._separator) if self._model.task.LABEL_KIND == "sets" else "".join(names)


def save(columns: Columns, file: Path) -> None:
    """Write columns, names to values, in the format that the file's suffix names.

    Raises:
      ConfigError: see `writer_of`; or the file cannot be written.
    """
    write = writer_of(file)
    make_folder(file.parent)
    with whole(file) as part:
        write(columns, part)


def writer_of(file: Path) -> Callable[[Columns, Path], None]:
    """The function that writes such a file.

    Raises:
      ConfigError: there is no such format.
    """
    if file.suffix.lower() not in WRITERS:
        raise ConfigError(f"--out must be a file that ends in {', '.join(WRITERS)}; got '{file}'.")
    return WRITERS[file.suffix.lower()]


def _csv(columns: Columns, file: Path) -> None:
    with file.open("w", newline="", encoding="utf-8", errors="surrogateescape") as out:
        rows = csv.writer(out)
        rows.writerow(columns)
        rows.writerows(_rows(columns))


def _jsonl(columns: Columns, file: Path) -> None:
    with file.open("w", encoding="utf-8") as out:
        for row in _rows(columns):
            values = [float(str(x)) if isinstance(x, np.floating) else x for x in row]
            out.write(json.dumps(dict(zip(columns, values, strict=True))) + "\n")


def _parquet(columns: Columns, file: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table({name: pyarrow.array(values) for name, values in columns.items()})
    pyarrow.parquet.write_table(table, file)


def _rows(columns: Columns) -> Iterator[tuple[Any, ...]]:
    """Rows; a float32 has the shortest digits that give the same float32 again."""
    return zip(*columns.values(), strict=True)


WRITERS = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
