"""Texts in tables: `.csv`, `.tsv`, `.jsonl` or `.parquet` with named columns, for one text or a pair (GLUE style)."""

from ml_collections import ConfigDict

from tljax.core.options import Option
from tljax.core.types import Dataset
from tljax.data import texts
from tljax.data.table import labelled

OPTIONS = {
    **labelled.OPTIONS,
    "columns.text": Option("text", "The column of the text."),
    "columns.pair": Option("", "The column of the second text, of pairs; none by default."),
}


def load(config: ConfigDict) -> Dataset:
    """Every table in the folder `data.dir` is a split under its own name; a single file is the split "all", or with
    `columns.split` as many as that column names. Of a folder those are read that the config names.

    `data.columns` names the columns, and `data.labels` says what their label is: a class; a number a column; or a
    set, of which one column holds the names (a JSON list, or with `data.separator` between) or every column 0 or 1.
    `data.group` names a column by which rows stay together. Quoted fields may hold line ends; where `data.quotes` is
    off, quotes are part of the texts.

    Raises:
      DataError: see `labelled.read` and `texts.dataset`.
    """
    found = labelled.read(config, config.columns.text, config.columns.pair, what="texts")
    return texts.dataset(
        found.splits,
        str(found.root),
        config,
        kind=config.labels,
        classes=found.classes,
        pairs=bool(config.columns.pair),
        notes=found.notes,
        skipped=found.skipped,
        unread=found.unread,
    )
