"""Texts in folders: `<data.dir>/<split>/<class>/<text>.txt`, one text a file; `<split>/<text>.txt` without labels."""

from pathlib import Path
from typing import Any

from tljax.core import atomic
from tljax.core.errors import DataError
from tljax.core.types import Dataset
from tljax.data import texts
from tljax.data.labels import NONE
from tljax.data.texts import Row

LAYOUT = "<data.dir>/<split>/<class>/<text>.txt, for example train/positive/1.txt and test/negative/2.txt"
PLAIN = "<data.dir>/<split>/<text>.txt, for example train/1.txt, as config.data.labels=none asks"
SUFFIXES = (".txt", ".text", ".md")


def load(config: Any) -> Dataset:
    """Every folder below `data.dir` is a split, every folder in it a class; other files are an error.

    With `data.labels` none the texts lie in the split itself.

    Raises:
      DataError: no such folder, no texts, a file that is no text by its suffix, or one that is not in
        `data.encoding`; see also `texts.dataset`.
    """
    root, labelled = Path(config.dir).expanduser(), config.labels != "none"
    layout = LAYOUT if labelled else PLAIN
    if not config.dir or not root.is_dir():
        raise DataError(
            f"Texts: no folder '{root if config.dir else ''}'. Set config.data.dir; the layout is {layout}."
        )
    splits: dict[str, list[Row]] = {}
    strange = []
    files = sorted(path for path in root.rglob("*") if path.is_file())
    atomic.check_names(files)
    for file in files:
        parts = file.relative_to(root).parts
        if any(part.startswith(".") for part in parts):
            continue
        if len(parts) != 2 + labelled or file.suffix.lower() not in SUFFIXES:
            strange.append(str(file))
            continue
        label = parts[1] if labelled else NONE
        splits.setdefault(parts[0], []).append(Row(texts.read(file, config.encoding), "", label, str(file)))
    if not splits or strange:
        found = f"other files are there: {', '.join(strange[: texts.SHOWN])}" if strange else "it holds none"
        raise DataError(f"'{root}' must hold texts ({', '.join(SUFFIXES)}) as {layout}; {found}.")
    return texts.dataset(splits, str(root), config, kind="classes" if labelled else "none")
