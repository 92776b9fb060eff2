"""Lists of the pictures of each split: train.txt, val.txt and so on, a picture a line, where folders name no splits."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

PLACES = ("", "ImageSets/Segmentation", "ImageSets", "splits", "lists", "sets")  # folders of lists, below the root
SUFFIXES = (".txt", ".lst")
REST = "train"  # the split of pictures that no list names, where only others are listed


class Lists(NamedTuple):
    """The lists of one folder."""

    splits: dict[str, list[int]]  # split -> the numbers of its pictures
    absent: dict[str, list[str]]  # split -> entries that are no picture here
    note: str


def find(root: Path, stems: Mapping[str, int]) -> Lists | None:
    """The lists of the first folder that has some; None if there are none.

    A list is a text of which each line begins with a picture: its name, or a path that ends in it, with or without
    its suffix. What follows in the line, such as the mask, is not read: masks go by the names of files.

    Args:
      stems: the stem of every picture -> its number.
    """
    for place in PLACES:
        files = [path for path in sorted((root / place).glob("*")) if path.suffix.lower() in SUFFIXES]
        entries = {path: _entries(path, stems) for path in files}
        lists = {
            path: some for path, some in entries.items() if 2 * sum(x is not None for x in some.values()) > len(some)
        }
        if lists:
            return _divided(
                {path.stem.lower(): some for path, some in lists.items()}, set(stems.values()), root / place
            )
    return None


def _divided(lists: Mapping[str, Mapping[str, int | None]], every: set[int], place: Path) -> Lists:
    splits = {name: list(dict.fromkeys(x for x in some.values() if x is not None)) for name, some in lists.items()}
    absent = {name: [word for word, x in some.items() if x is None] for name, some in lists.items()}
    left = sorted(every.difference(*splits.values()))
    note = f"splits: by the lists {', '.join(splits)} in '{place}'"
    if left and not any(REST in name for name in splits):
        return Lists({REST: left, **splits}, absent, f"{note}; the {len(left):,} pictures in none of them are '{REST}'")
    return Lists(splits, absent, note + (f"; {len(left):,} pictures in none of them are left out" if left else ""))


def _entries(path: Path, stems: Mapping[str, int]) -> dict[str, int | None]:
    """The first word of each line -> the number of its picture; None: there is none. {} if the file is no text."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError):
        return {}
    words = [line.split()[0].replace("\\", "/") for line in lines if line.strip()]
    return {word: stems.get(Path(word).name, stems.get(Path(word).stem)) for word in words}
