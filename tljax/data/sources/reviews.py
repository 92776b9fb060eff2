"""Product reviews by domain: `<data.dir>/<domain>/review_positive` and `review_negative`, one review per line.

This is the layout of the Amazon reviews of Blitzer et al. 2007 in published code for domain adaptation. Every domain
is a split: train on one and test on another with `data.splits`.
"""

from pathlib import Path

from ml_collections import ConfigDict

from tljax.core.errors import DataError
from tljax.core.options import Option
from tljax.core.types import Dataset
from tljax.data import texts
from tljax.data.texts import Row

OPTIONS = {
    "dir": Option("", "The folder of domains."),
    "encoding": texts.ENCODING_OPTION,
}

CLASSES = ("negative", "positive")


def load(config: ConfigDict) -> Dataset:
    """Every folder with both files is a domain.

    Raises:
      DataError: there is no domain, or a folder has only one of the files; see also `texts.dataset`.
    """
    root = Path(config.dir).expanduser()
    domains = sorted(
        folder for folder in root.glob("*") if any((folder / f"review_{name}").exists() for name in CLASSES)
    )
    if not config.dir or not domains:
        raise DataError(
            f"Reviews: '{root if config.dir else ''}' must hold <domain>/review_positive and review_negative; "
            f"it holds none. Set config.data.dir."
        )
    splits = {folder.name: [row for name in CLASSES for row in _rows(folder, name, config)] for folder in domains}
    return texts.dataset(splits, str(root), config)


def _rows(folder: Path, label: str, config: ConfigDict) -> list[Row]:
    file = folder / f"review_{label}"
    lines = texts.lines(texts.read(file, config.encoding))
    return [Row(line, "", label, f"{file}:{number}") for number, line in enumerate(lines, start=1)]
