"""Texts in folders: `<data.dir>/<split>/<class>/<text>.txt`, one text per file; `<split>/<text>.txt` without labels."""

from pathlib import Path

from ml_collections import ConfigDict

from tljax.core import atomic
from tljax.core.errors import DataError
from tljax.core.options import Option, one_of
from tljax.core.types import Dataset
from tljax.data import folders, texts
from tljax.data.labels import NONE
from tljax.data.parts import splits
from tljax.data.texts import Row

OPTIONS = {
    "dir": Option("", "The folder of splits."),
    "encoding": texts.ENCODING_OPTION,
    "labels": Option("classes", "classes: a folder each; none: the texts lie in the split's folder.",
                     one_of("classes", "none")),
}  # fmt: skip

LAYOUT = "<data.dir>/<split>/<class>/<text>.txt, for example train/positive/1.txt and test/negative/2.txt"
PLAIN = "<data.dir>/<split>/<text>.txt, for example train/1.txt, as config.data.labels=none asks"
SUFFIXES = (".txt", ".text", ".md")


def load(config: ConfigDict) -> Dataset:
    """Every folder below `data.dir` that the config names is a split, and every folder in it a class; other files are
    left out, and listed. If there are class folders instead of splits, they form the split "all".

    If `data.labels` is none, the texts lie directly in the split's folder.

    Raises:
      DataError: there is no such folder, it has no texts, or a text is not in `data.encoding`; see also `texts.dataset`
        and `folders.read`.
    """
    root = Path(config.dir).expanduser()
    if config.labels == "none":
        return _unlabelled(root, config)
    folder = folders.read(root, SUFFIXES, config, what="texts", layout=LAYOUT)
    rows = {
        split: [Row(texts.read(file, config.encoding), "", name, str(file)) for file, name in files]
        for split, files in folder.splits.items()
    }
    return texts.dataset(rows, str(root), config, skipped=folder.skipped, unread=folder.unread)


def _unlabelled(root: Path, config: ConfigDict) -> Dataset:
    if not config.dir or not root.is_dir():
        raise DataError(f"Texts: no folder '{root if config.dir else ''}'. Set config.data.dir; the layout is {PLAIN}.")
    inside = {place.name: folders.entries(place) for place in folders.entries(root) if place.is_dir()}
    files_of = {name: [file for file in some if folders.is_example(file, SUFFIXES)] for name, some in inside.items()}
    names = [name for name, files in files_of.items() if files]
    if not names:
        raise DataError(f"'{root}' must hold texts ({', '.join(SUFFIXES)}) as {PLAIN}; it holds none.")
    used = splits.used(names, config)
    atomic.check_names(file for name in used for file in files_of[name])
    skipped = [
        f"{file}: no text by its suffix, or a folder"
        for name in used
        for file in inside[name]
        if file not in set(files_of[name])
    ]
    rows = {
        name: [Row(texts.read(file, config.encoding), "", NONE, str(file)) for file in files_of[name]] for name in used
    }
    unread = [name for name in names if name not in used]
    return texts.dataset(rows, str(root), config, kind="none", skipped=skipped, unread=unread)
