"""Chest X-rays with COVIDx's lists: `<data.dir>/<split>.txt`, a line `patient file class source` for each picture.

This is the layout of COVIDx (Wang et al. 2020, COVID-Net). Pictures lie in `data.pictures`; if that is "", in the
folder `pictures`, in one with the list's name, or beside the list. `data.group=patient` keeps the pictures of a patient
in one part; `data.group=source` those of one collection.
"""

from pathlib import Path
from typing import NamedTuple

from ml_collections import ConfigDict

from tljax.core.errors import ConfigError, DataError
from tljax.core.options import Option
from tljax.core.types import Dataset, Info, Record
from tljax.data import labels, pictures, spelling, texts
from tljax.data.parts import splits

OPTIONS = {
    "dir": Option("", "The folder of lists."),
    "pictures": Option("", "The folder of pictures; default: pictures/, <split>/, or that of the lists."),
    "encoding": texts.ENCODING_OPTION,
}
LAYOUT = "'patient file class source', with spaces between"


class Line(NamedTuple):
    """One line of a list."""

    patient: str
    file: Path
    label: str
    source: str


class Listed:
    """The pictures of one list; each is decoded when it is read."""

    def __init__(self, lines: list[Line], classes: tuple[str, ...], config: ConfigDict) -> None:
        self.files, self._config = [line.file for line in lines], config
        self.labels = labels.encode([line.label for line in lines], "classes", classes)
        self.groups = [getattr(line, config.group) for line in lines] if config.group else []

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Record:
        path = self.files[index]
        image = pictures.read(path, channels=self._config.channels, most=self._config.max_pixels)
        return {"image": image, "label": int(self.labels[index]), "id": str(path)}


def load(config: ConfigDict) -> Dataset:
    """Every list that the config names is a split.

    Raises:
      ConfigError: `data.group` is not patient or source.
      DataError: there is no list, a line has no four fields, a picture is missing (the first are named), or names of
        classes differ only in spelling.
    """
    if config.group not in ("", "patient", "source"):
        raise ConfigError(f"config.data.group of covidx must be '', patient or source; got '{config.group}'.")
    root = Path(config.dir).expanduser()
    files = {file.stem: file for file in sorted(root.glob("[!.]*.txt"))} if config.dir else {}
    if not files:
        raise DataError(
            f"'{root if config.dir else ''}' must hold lists such as train.txt, with lines of {LAYOUT}; it holds none. "
            f"Set config.data.dir."
        )
    used = splits.used(list(files), config)
    lines_of = {name: _lines(files[name], config) for name in used}
    counts = labels.counts(line.label for lines in lines_of.values() for line in lines)
    same, merged = spelling.classes(counts, str(root), config.similar_labels)
    named = {name: [line._replace(label=same[line.label]) for line in lines] for name, lines in lines_of.items()}
    every = {name: [line.label for line in lines] for name, lines in named.items()}
    classes = labels.names(every, str(root), "" if config.fractions else config.splits.train)
    unread = tuple(name for name in files if name not in used)
    parts = {name: Listed(lines, classes, config) for name, lines in named.items()}
    return Dataset(parts, Info(classes, str(root), notes=merged, unread=unread))


def _lines(file: Path, config: ConfigDict) -> list[Line]:
    places = [Path(config.pictures).expanduser()] if config.pictures else []
    places = places or [file.parent / "pictures", file.parent / file.stem, file.parent]
    lines, faults = [], []
    for number, text in enumerate(texts.lines(texts.read(file, config.encoding)), start=1):
        fields = text.split()
        if not fields:
            continue
        if len(fields) < 4:
            faults.append(f"{file}:{number}: {len(fields)} fields")
            continue
        name = " ".join(fields[1:-2])  # a file's name may hold spaces
        place = next((one / name for one in places if (one / name).is_file()), None)
        if place is None:
            faults.append(f"{file}:{number}: no picture '{name}'")
        else:
            lines.append(Line(fields[0], place, fields[-2], fields[-1]))
    if faults:
        raise DataError(
            f"Every line of a list must be {LAYOUT}, and its picture must be in {', '.join(map(str, places))}; "
            f"{len(faults)} are not: {labels.cut(faults)}. Correct the list, or set config.data.pictures."
        )
    return lines
