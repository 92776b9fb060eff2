"""Data sets of TensorFlow Datasets by name, read as array_record without TensorFlow.

A set must be prepared already, or have a builder in tljax/data/builders/. TFDS's own builders need TensorFlow.
"""

import functools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import tensorflow_datasets as tfds
from ml_collections import ConfigDict

from tljax.core import downloads, plugins
from tljax.core.errors import DataError
from tljax.core.options import Option
from tljax.core.types import Dataset, Info, Record
from tljax.data import pictures, texts, tfds_features
from tljax.data.parts import splits

OPTIONS = {
    "dir": Option("", "The folder of prepared sets; by default TFDS's own folder."),
    "name": Option("", "The data set, such as cifar10."),
    "download": Option(True, "Fetch and prepare a set that is missing."),
    "columns.text": Option("text", "The column of the text."),
    "columns.pair": Option("", "The column of the second text, for pairs of texts; '': no pairs."),
    "columns.label": Option("label", 'The column of the label; for numbers and sets several, "a,b".'),
}

BLOCK = 1024  # records per read: one by one costs 20 times as much
HELP = "--config.data.source=image_folder --config.data.dir=<folder with train/ and test/>"


class Name(NamedTuple):
    """A TFDS name: "set" or "set/config", and optionally ":version" or "/version", which may hold stars."""

    set: str
    config: str
    version: str

    @classmethod
    def of(cls, text: str) -> "Name":
        parsed = re.fullmatch(r"(\w+)(?:/([\w+.-]*?[a-zA-Z_][\w+.-]*))?(?:[/:]([\d*]+(?:\.[\d*]+){2}))?", text)
        if not parsed:
            raise DataError(
                f"config.data.name must be a TFDS name: 'cifar10', 'cifar10:3.*.*' or 'set/config:1.0.0'; got '{text}'."
            )
        return cls(parsed[1], parsed[2] or "", parsed[3] or "*")


def load(config: ConfigDict) -> Dataset:
    """All splits of the TFDS set `config.name`; it is prepared first if there is a builder and downloads are allowed.

    If the features `columns.text` (and `columns.pair`) are texts, the set is read as texts, but only splits that the
    config names (GLUE's test splits, for example, have no labels). Any other set must have pictures under 'image'. The
    label is `columns.label`: a ClassLabel; a float or a vector of floats; or a Sequence of ClassLabel, which is a set.

    Args:
      config: `name`; `dir`, the TFDS folder ("": $TFDS_DATA_DIR, else ~/tensorflow_datasets); `download`; `channels`;
        `columns`; for texts also the keys of `texts.dataset`.

    Raises:
      DataError: the set does not exist and cannot be prepared, is unreadable, or has neither pictures nor texts with
        labels.
    """
    name = Name.of(config.name)
    root = Path(config.dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()
    folder = find(name, root) or prepare(name, root, download=config.download)
    builder = _open(folder)
    features, columns = tfds_features.named(builder.info), config.columns
    kind, classes = _labels(builder.info, features, columns)
    raw: Any = builder.as_data_source(deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES)
    records = {str(split): split_records for split, split_records in raw.items()}
    source = f"TFDS {builder.info.full_name} in {folder}"
    if tfds_features.says(features, columns):
        used = splits.used(tuple(records), config)
        rows = {name: tfds_features.rows(name, _all(name, records[name]), columns, kind, classes) for name in used}
        pairs = bool(columns.pair)
        unread = [name for name in records if name not in used]
        return texts.dataset(rows, source, config, kind=kind, classes=classes, pairs=pairs, unread=unread)
    parts = {name: TfdsSplit(name, split_records, kind, classes, config) for name, split_records in records.items()}
    return Dataset(parts, Info(classes, source, labels=kind))


def find(name: Name, root: Path) -> Path | None:
    """The folder of the newest prepared version that `name` allows; None if there is none.

    Raises:
      DataError: several configs of the set are prepared, and `name` names none.
    """
    home = root / name.set
    files = [home.glob("*/dataset_info.json"), home.glob("*/*/dataset_info.json")]
    folders = [file.parent for listing in files for file in listing if re.fullmatch(r"\d+\.\d+\.\d+", file.parent.name)]
    folders = [folder for folder in folders if fnmatch(folder.name, name.version)]
    if name.config:
        folders = [folder for folder in folders if folder.parent == home / name.config]
    homes = sorted({folder.parent for folder in folders})
    if len(homes) > 1:
        listed = ", ".join(str(folder.relative_to(root)) for folder in homes)
        raise DataError(f"config.data.name must say which of the prepared configs is meant: {listed}.")
    return max(folders, key=lambda folder: [int(part) for part in folder.name.split(".")], default=None)


def prepare(name: Name, root: Path, *, download: bool) -> Path:
    """Prepare the set with our own builder.

    Raises:
      DataError: there is no builder for it, or its data are missing and may not or cannot be downloaded.
    """
    looked = "/".join(part for part in (str(root), *name) if part)
    missing = f"TFDS set '{name.set}' is not prepared: looked for {looked}."
    builders = plugins.available("builders")
    if name.set not in builders:
        code = f"tfds.builder('{name.set}', file_format='array_record').download_and_prepare()"
        raise DataError(
            f"{missing}\nOnly {', '.join(builders)} can be prepared without TensorFlow. Where that is installed:\n"
            f'  python -c "import tensorflow_datasets as tfds; {code}"\nOr use your own pictures: {HELP}'
        )
    builder = plugins.find("builders", name.set)
    if name.config or not fnmatch(builder.VERSION, name.version):
        raise DataError(
            f"{missing}\nThe builder here makes '{name.set}:{builder.VERSION}': use that as config.data.name."
        )
    archive, url = builder.archive(root), builder.url()
    if not archive.exists():
        why = downloads.unreachable(url) if download else "config.data.download is off"
        if why:
            raise DataError(
                f"{missing}\nNor can it be downloaded from {downloads.host(url)}: {why}.\n"
                f"Put its archive at {archive}, or use your own pictures:\n  {HELP}"
            )
    try:
        builder.prepare(root)
    except DataError as error:
        raise DataError(f"{error}\nOr use your own pictures: {HELP}") from error
    return root / name.set / builder.VERSION


def _open(folder: Path) -> tfds.core.DatasetBuilder:
    try:
        builder = tfds.builder_from_directory(folder)
        formats = {kind.value for kind in builder.info.available_file_formats()}
    except Exception as error:  # TFDS may raise anything for a damaged dataset_info.json or features.json
        raise DataError(
            f"{folder} must be a prepared TFDS set; reading it failed: {error}. Delete it and prepare it again."
        ) from error
    if "array_record" not in formats:
        raise DataError(
            f"{folder} must be prepared as array_record, to be read without TensorFlow; it is {', '.join(formats)}.\n"
            f"Prepare it again with file_format='array_record', or: {HELP}"
        )
    return builder


def _labels(
    info: tfds.core.DatasetInfo, features: Mapping[str, tfds.features.FeatureConnector], columns: ConfigDict
) -> tuple[str, tuple[str, ...]]:
    """The kind of labels, and their names; DataError unless there are labels, and pictures or texts."""
    kind = tfds_features.kind_of(features.get(columns.label), columns.label)
    readable = tfds_features.says(features, columns) or tfds_features.shows_pictures(features)
    if kind is None or not readable:
        pair = f" and '{columns.pair}'" if columns.pair else ""
        raise DataError(
            f"TFDS set '{info.full_name}' must have the features 'image' (Image, uint8), or '{columns.text}'{pair} "
            f"(Text), and '{columns.label}' (ClassLabel, a Sequence of it, or floats): see config.data.columns; "
            f"it has:\n{info.features}"
        )
    return kind


def _all(name: str, records: "Records") -> Iterator[bytes]:
    """Every record of a split, in order.

    Raises:
      DataError: some cannot be read.
    """
    for start in range(0, len(records), BLOCK):
        stop = min(start + BLOCK, len(records))
        try:
            yield from records.__getitems__(range(start, stop))
        except Exception as error:  # array_record has no error class for damaged or absent files
            raise DataError(
                f"Split '{name}': the records {start}..{stop - 1} must be readable: {error}.\n"
                "Delete the set and prepare it again."
            ) from error


class Records(Protocol):
    """The records of a split, as array_record has them."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> bytes: ...
    def __getitems__(self, indices: Sequence[int]) -> Sequence[bytes]: ...


class TfdsSplit:
    """A split of pictures in array_record files; a record is read at its first use."""

    def __init__(self, name: str, records: Records, kind: str, classes: Sequence[str], config: ConfigDict) -> None:
        self._name, self._records, self._kind, self._classes, self._config = name, records, kind, classes, config

    def __len__(self) -> int:
        return len(self._records)

    @property
    def labels(self) -> np.ndarray:
        """Labels of the kind `Info.labels`; every record is read, but no picture is decoded.

        Raises:
          DataError: records are damaged, or labels are no class.
        """
        return self._kept

    @functools.cached_property
    def _kept(self) -> np.ndarray:
        column, kind = self._config.columns.label, self._kind
        labels = [tfds_features.label(tfds_features.read(r), column, kind) for r in _all(self._name, self._records)]
        if kind == "numbers":
            return np.array(labels).reshape(len(labels), -1)
        outside = [i for i, label in enumerate(labels) if not np.isin(label, range(len(self._classes))).all()]
        if outside:
            raise DataError(
                f"Split '{self._name}': every label must be in 0..{len(self._classes) - 1}, but {len(outside)} of "
                f"{len(self)} are not (example {outside[0]}: {labels[outside[0]]}).\n"
                "TFDS marks unlabelled examples with -1: use another split."
            )
        if kind == "classes":
            return np.array(labels, np.int32)
        return np.array([np.isin(range(len(self._classes)), label) for label in labels])

    def __getitem__(self, index: int) -> Record:
        """One example; ValueError if its picture is unreadable."""
        features = tfds_features.read(self._records[index])
        return {
            "image": pictures.decode(
                features["image"].bytes_list.value[0],
                channels=self._config.channels,
                most=self._config.max_pixels,
            ),
            "label": tfds_features.label(features, self._config.columns.label, self._kind),
            "id": tfds_features.identity(features, f"{self._name}/{index}"),
        }
