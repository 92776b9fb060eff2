"""A table, or a folder of tables: the meaning of its columns, and the part of each row."""

from collections import Counter
from pathlib import Path

from tljax.core.errors import DataError
from tljax.data import folders
from tljax.data.tables import SUFFIXES
from tljax.given import columns, kinds, parts, raw_table
from tljax.given.columns import Columns
from tljax.given.found import Changes, Found
from tljax.given.raw_table import Raw


def look(place: Path, asked: Changes) -> Found:
    """The content of a table; or of the tables of a folder, of which each is a part.

    Args:
      asked: keys that the user has set.

    Raises:
      DataError: there is no table, or no columns of examples or labels.
    """
    files = [place] if place.is_file() else [file for file in folders.entries(place) if file.suffix.lower() in SUFFIXES]
    first = next((file for file in files if parts.role(file.stem) == "train"), files[0])
    raw = raw_table.read(first, tuple(columns.KNOWN))
    if not raw.rows:
        raise DataError(f"'{first}' must hold rows with labels; it holds a line of names alone.")
    home = place if place.is_dir() else place.parent
    found = columns.guess(raw, home, asked)
    split = str(found.changes.get("data.columns.split", asked.get("data.columns.split", "")))
    if split:
        sizes = dict(Counter(str(row.get(split)) for row in raw.rows))
    elif place.is_file():
        sizes = {"all": len(raw.rows)}
    else:
        sizes = _sizes(files, first, raw, found)
    changes, learned, notes = parts.of(sizes, found.labels)
    rows = [row for row in raw.rows if str(row.get(split)) in learned] if split else list(raw.rows)
    counts = kinds.counts(map(str, kinds.cells(raw._replace(rows=tuple(rows)), found.label[0])))
    changes = {
        "data.source": "picture_table" if found.input == "image" else "text_csv",
        "data.dir": str(place),
        **raw.changes,
        **found.changes,
        **changes,
    }
    return Found(
        found.input,
        found.labels,
        changes,
        counts if found.labels == "classes" else {},
        len(rows),
        (*raw.notes, *found.notes, *notes),
    )


def _sizes(files: list[Path], first: Path, raw: Raw, found: Columns) -> dict[str, int]:
    """Table -> number of rows; tables without the label's column (test sets without labels) are left out."""
    sizes = {first.stem: len(raw.rows)}
    for file in files:
        if file != first:
            other = raw_table.read(file, tuple(columns.KNOWN))
            sizes |= {file.stem: len(other.rows)} if set(found.label) <= set(other.names) else {}
    return sizes
