"""Texts in tables: `.csv`, `.tsv`, `.jsonl` or `.parquet` with named columns, for one text or a pair (GLUE style)."""

from ml_collections import ConfigDict

from tljax.core.options import Option
from tljax.core.types import Dataset
from tljax.data import texts
from tljax.data.table import labelled

OPTIONS = {
    **labelled.OPTIONS,
    "columns.text": Option("text", "The column of the text."),
    "columns.pair": Option("", "The column of the second text, for pairs of texts; '': no pairs."),
}


def load(config: ConfigDict) -> Dataset:
    """Every table in the folder `data.dir` is a split with the table's name; only splits that the config names are
    read. A single file is the split "all"; with `columns.split`, that column holds the split of each row.

    `data.columns` names the columns, and `data.labels` the kind of the label: a class; numbers, one column for each; or
    a set, either names in one column (a JSON list, or separated by `data.separator`), or a column of 0 and 1 for each
    name. `data.group` names the column of groups. Quoted fields may hold line ends; if `data.quotes` is off, quotes are
    part of the texts.

    Raises:
      DataError: see `labelled.read` and `texts.dataset`.
    """
    table = labelled.read(config, config.columns.text, config.columns.pair, what="texts")
    return texts.dataset(
        table.splits,
        str(table.root),
        config,
        kind=config.labels,
        classes=table.classes,
        pairs=bool(config.columns.pair),
        notes=table.notes,
        skipped=table.skipped,
        unread=table.unread,
    )
