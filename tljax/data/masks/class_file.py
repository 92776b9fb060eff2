"""A file of classes beside masks: a line for each name, alone or with its value or its colour.

For example "sky", "0 sky", "128 64 128 road", "road,128,64,128".
"""

import dataclasses
import re
from pathlib import Path

from tljax.core.errors import DataError

# Names of such files, as data sets have them.
NAMES = (
    "classes.txt", "labels.txt", "label_colors.txt", "labelmap.txt", "class_dict.csv", "classes.csv", "colors.txt",
    "codes.txt",
)  # fmt: skip
VOID = frozenset({  # names of no class
    "void", "unlabelled", "unlabeled", "unlabel", "not labelled", "not labeled", "no label", "ignore", "ignored",
    "ignore label", "unknown", "undefined", "unannotated", "don't care", "dontcare",
})  # fmt: skip


@dataclasses.dataclass(frozen=True)
class ClassFile:
    """The classes of a file, in its order."""

    path: Path
    names: tuple[str, ...]
    values: tuple[int, ...]  # the value of each in masks of one channel
    colours: tuple[int, ...]  # its colour, 0xRRGGBB; () if the file has none
    void: frozenset[str]  # names that stand for no class


def find(pictures: Path, masks: Path) -> Path | None:
    """The file of classes beside pictures and masks; None if there is none."""
    above = [masks.parent] if masks != pictures and masks.resolve().parent == pictures.resolve().parent else []
    places = dict.fromkeys((pictures, masks, *above))
    return next((place / name for place in places for name in NAMES if (place / name).is_file()), None)


def read(path: Path) -> ClassFile:
    """The classes of a file.

    Raises:
      DataError: it cannot be read, or a line is neither a name nor a name with one or three numbers.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, ValueError) as error:
        raise DataError(f"The file of classes '{path}' must be a text: {error}.") from error
    rows = [(number, *_row(line)) for number, line in enumerate(lines, start=1) if line and not line.startswith("#")]
    if rows and not rows[0][2] and any(numbers for _, _, numbers in rows):
        rows = rows[1:]  # a header
    lengths = {len(numbers) for _, _, numbers in rows}
    bad = [number for number, name, numbers in rows if not name or len(numbers) not in (0, 1, 3)]
    bad += [number for number, _, numbers in rows if any(not 0 <= x <= 255 for x in numbers)]
    if bad or len(lengths) != 1 or len({name for _, name, _ in rows}) < 2:
        raise DataError(
            f"'{path}' must hold a line for each class, at least two: all 'name', all 'value name', or all 'R G B "
            f"name' with numbers from 0 to 255; "
            + (f"not so line {', '.join(map(str, bad))}." if bad else "it does not.")
        )
    names = tuple(name for _, name, _ in rows)
    numbers = [row[2] for row in rows]
    values = tuple(row[0] for row in numbers) if lengths == {1} else tuple(range(len(names)))
    colours = tuple(r << 16 | g << 8 | b for r, g, b in numbers) if lengths == {3} else ()
    codes = colours or values
    if len(set(codes)) < len(codes):
        raise DataError(f"'{path}' must give every class a value or colour of its own; some are there twice.")
    return ClassFile(path, names, values, colours, frozenset(name for name in names if _plain(name) in VOID))


def _plain(name: str) -> str:
    return re.sub(r"[_\-\s]+", " ", name).strip().lower()


def _row(line: str) -> tuple[str, list[int]]:
    """(The name, the numbers before or after it)."""
    cells = [cell for cell in re.split(r"[,\t;:]\s*|\s+", line) if cell]
    numbers = [int(cell) for cell in cells if re.fullmatch(r"\d+", cell)]
    return " ".join(cell for cell in cells if not re.fullmatch(r"\d+", cell)).strip("\"'"), numbers
