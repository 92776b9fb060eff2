"""Pictures with masks: folders of pictures and of masks with equal names, with or without splits (`masks.layout`)."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from tljax.core.errors import DataError
from tljax.core.options import Option, Rule, one_of
from tljax.core.types import IGNORED, Dataset, Info, Record
from tljax.data import labels, pictures
from tljax.data.masks import class_file, codes, doubts, layout, palettes, values
from tljax.data.masks.codes import Seen
from tljax.data.masks.values import Meaning
from tljax.data.parts import splits
from tljax.data.picture import frames, turned

LISTED = 30  # classes whose share of pixels is listed
CODES: Rule = ("a tuple of values or names", lambda xs: all(isinstance(x, str | int) for x in xs))
OPTIONS = {
    "dir": Option("", "The folder of pictures, or that of pictures and masks."),
    "masks": Option("", 'The folder of masks; "": folders below `dir` whose names say so.'),
    "class_file": Option(
        "", 'Names of classes, with their values or colours; "": one of a known name beside the masks.'
    ),
    "mask_values": Option(
        "auto",
        "A value is a class, or numbers an object of one class; or a colour of the mask's palette is a class.",
        one_of("auto", "classes", "instances", "colours"),
    ),
    "object": Option("object", "The class of objects, in masks that number them or hold 0 and 255."),
    "ignore": Option((), "Values, colours (#rrggbb) or names of classes that count for nothing; 255 does not.", CODES),
}


class Masked:
    """The pictures of one split with their maps; both are decoded when they are read."""

    labels = None  # loaded with each picture

    def __init__(
        self, both: Sequence[tuple[Path, Path]], seen: Mapping[Path, Seen], meaning: Meaning, config: ConfigDict
    ) -> None:
        self.files = [picture for picture, _ in both]
        counts = [_pixels(seen[mask], meaning) for _, mask in both]
        self.pixels = np.array(counts, np.int64).reshape(len(both), -1)[:, : len(meaning.classes)]  # (N, K)
        self._masks, self._meaning, self._config = [mask for _, mask in both], meaning, config

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Record:
        path, mask = self.files[index], self._masks[index]
        image = pictures.read(path, channels=self._config.channels, most=self._config.max_pixels)
        label, _ = codes.read(mask, painted=self._meaning.painted, most=self._config.max_pixels)
        if label.shape != image.shape[:2]:
            raise ValueError(
                f"its mask '{mask}' must be as large as the picture, {_size(image.shape)} pixels; it is "
                f"{_size(label.shape)}"
            )
        try:
            return {"image": image, "label": self._meaning.of(label), "id": str(path)}
        except ValueError as error:
            raise ValueError(f"{error} ('{mask}')") from error


def load(config: ConfigDict) -> Dataset:
    """The splits that `config.data` names. All masks are read once, to know their values.

    Raises:
      DataError: there are no pictures with masks; a picture has no mask; masks are damaged or hold values of no class:
        all are named, unless `data.unreadable` is "skip".
    """
    root = Path(config.dir).expanduser()
    if not config.dir:
        raise DataError(f"Set config.data.dir to a folder of pictures with masks:\n{layout.LAYOUT}")
    masks = Path(config.masks).expanduser() if config.masks else None
    tables, by_lists = layout.splits(root, masks)
    used = splits.used(list(tables), config)
    table = {name: tables[name] for name in used}
    seen, faults = codes.look([mask for one in table.values() for _, mask in one.both], most=config.max_pixels)
    if not seen:
        raise DataError(f"'{root}' must hold masks that can be read:\n  " + "\n  ".join(_lines(faults)))
    file = Path(config.class_file).expanduser() if config.class_file else class_file.find(root, masks or root)
    known = class_file.read(file) if file else None
    seen, painted, notes = palettes.by_colours(seen, known, kind=config.mask_values)
    ignore = tuple(map(str, config.ignore))
    meaning = values.meaning(seen, known, kind=config.mask_values, thing=config.object, ignore=ignore)
    meaning = dataclasses.replace(meaning, painted=painted)
    unknown = _unknown(seen, meaning)
    faults |= unknown
    wrong = [_without(path) for one in table.values() for path in one.without] + _lines(faults)
    kept = {name: [pair for pair in one.both if pair[1] not in faults] for name, one in table.items()}
    number = sum(len(one.both) + len(one.without) for one in table.values())
    if wrong and (config.unreadable != "skip" or sum(map(len, kept.values())) < number / 2):
        raise DataError(
            f"Every picture must have a mask of its name, with values of classes; {len(wrong)} of {number:,} have "
            f"not:\n  {_listed(wrong)}{_common(seen, unknown, meaning)}\nCorrect them, or set "
            f"config.data.unreadable=skip to leave these pictures out, up to half of all, counted and listed."
        )
    skipped = [*wrong, *(f"{mask}: a mask without a picture" for one in table.values() for mask in one.left)]
    notes = [*filter(None, (by_lists, *notes, *meaning.notes)), *turned.notes(_pictures(kept), "masks")]
    notes += frames.notes(_pictures(kept))
    notes += [_shares(name, [seen[mask] for _, mask in both], meaning) for name, both in kept.items() if both]
    notes += doubts.notes([seen[mask] for both in kept.values() for _, mask in both], meaning)
    info = Info(
        meaning.classes, str(root), tuple(skipped), labels="maps", notes=tuple(notes),
        unread=tuple(name for name in tables if name not in used),
    )  # fmt: skip
    return Dataset({name: Masked(both, seen, meaning, config) for name, both in kept.items()}, info)


def _without(path: Path) -> str:
    """What is wrong with a picture without a mask."""
    return f"{path}: no mask" if path.exists() else f"{path}: no such picture, which a list names"


def _pictures(kept: Mapping[str, Sequence[tuple[Path, Path]]]) -> list[Path]:
    return [picture for both in kept.values() for picture, _ in both]


def _unknown(seen: Mapping[Path, Seen], meaning: Meaning) -> dict[Path, str]:
    """The masks with values of no class."""
    wrong = {}
    for path, one in seen.items():
        try:
            meaning.of(one.codes)
        except ValueError as error:
            wrong[path] = str(error)
    return wrong


def _listed(wrong: Sequence[str]) -> str:
    """The first ones, a line each, and the number of the others."""
    more = [f"and {len(wrong) - LISTED} more"] if len(wrong) > LISTED else []
    return "\n  ".join([*wrong[:LISTED], *more])


def _common(seen: Mapping[Path, Seen], unknown: Mapping[Path, str], meaning: Meaning) -> str:
    """What to do if one value without a class is in most masks."""
    held = Counter(int(code) for path in unknown for code in seen[path].codes if int(code) not in meaning.numbers)
    often = [f"#{code:06x}" if seen[next(iter(unknown))].colours else str(code)
             for code, count in held.items() if count > len(seen) / 2]  # fmt: skip
    if not often:
        return ""
    return (
        f"\n{', '.join(often)} is in most masks: give it a line in the file of classes; where it counts for nothing: "
        f"--ignore {often[0] if len(often) == 1 else repr(tuple(often))}."
    )


def _shares(split: str, seen: Sequence[Seen], meaning: Meaning) -> str:
    """A line with the share of the pixels of each class."""
    counts = sum((_pixels(one, meaning) for one in seen), np.zeros(IGNORED + 1, np.int64))
    whole = max(int(counts.sum()), 1)
    shares = [f"{name} {_percent(counts[i] / whole)}" for i, name in enumerate(meaning.classes)]
    ignored = [f"of no class {_percent(counts[IGNORED] / whole)}"] if counts[IGNORED] else []
    every = [*shares, *ignored]
    return (
        f"pixels of {split}: {len(seen):,} pictures, {', '.join(every) if len(every) <= LISTED else labels.cut(every)}"
    )


def _pixels(one: Seen, meaning: Meaning) -> np.ndarray:
    """The pixels of each class, and of IGNORED: (256,) int64."""
    return np.bincount(meaning.of(one.codes), weights=one.counts, minlength=IGNORED + 1).astype(np.int64)


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.995 else "100 %"


def _lines(faults: Mapping[Path, str]) -> list[str]:
    return [f"{path}: {why}" for path, why in faults.items()]


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]}"
