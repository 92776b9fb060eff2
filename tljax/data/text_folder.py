"""Texts in folders: `<data.dir>/<split>/<class>/<text>.txt`, one text a file."""

from pathlib import Path
from typing import Any

from tljax import texts
from tljax.errors import DataError
from tljax.texts import Row
from tljax.types import Dataset

LAYOUT = "<data.dir>/<split>/<class>/<text>.txt, for example train/positive/1.txt and test/negative/2.txt"
SUFFIXES = (".txt", ".text", ".md")


def load(config: Any) -> Dataset:
    """Every folder below `data.dir` is a split, every folder in it a class; other files are an error.

    Raises:
      DataError: no such folder, no texts, a file that is no text by its suffix, or one that is not in
        `data.encoding`; see also `texts.dataset`.
    """
    root = Path(config.dir).expanduser()
    if not config.dir or not root.is_dir():
        raise DataError(
            f"Texts: no folder '{root if config.dir else ''}'. Set config.data.dir; the layout is {LAYOUT}."
        )
    splits: dict[str, list[Row]] = {}
    strange = []
    for file in sorted(path for path in root.rglob("*") if path.is_file()):
        parts = file.relative_to(root).parts
        if any(part.startswith(".") for part in parts):
            continue
        if len(parts) != 3 or file.suffix.lower() not in SUFFIXES:
            strange.append(str(file))
            continue
        split, label, _ = parts
        splits.setdefault(split, []).append(Row(texts.read(file, config.encoding), "", label, str(file)))
    if not splits or strange:
        found = f"other files are there: {', '.join(strange[: texts.SHOWN])}" if strange else "it holds none"
        raise DataError(f"'{root}' must hold texts ({', '.join(SUFFIXES)}) as {LAYOUT}; {found}.")
    return texts.dataset(splits, str(root), config)
