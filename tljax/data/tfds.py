"""Any data set of TensorFlow Datasets, without TensorFlow: read as array_record, by name.

A set must be prepared, or have a builder in tljax/builders/. TFDS's own builders need TensorFlow.
"""

import functools
import os
import re
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.proto import tf_example_pb2

from tljax import pictures, plugins, reach
from tljax.errors import DataError
from tljax.types import Dataset, Info

BLOCK = 1024  # records a read: one by one costs 20 times as much
IDS = ("id", "file_name", "image/filename")  # features that name an example, where a set has one
HELP = "--config.data.source=image_folder --config.data.dir=<folder with train/ and test/>"


class Name(NamedTuple):
    """A TFDS name, "set", "set/config", with ":version" or "/version", which may hold stars."""

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


def load(config: Any) -> Dataset:
    """All splits of the TFDS set `config.name`, prepared first if we have a builder and may.

    Args:
      config: `name`; `dir`, the TFDS folder ("": $TFDS_DATA_DIR, else ~/tensorflow_datasets); `download`; `channels`.

    Raises:
      DataError: the set is not there and cannot be had, is unreadable, or is not pictures with classes.
    """
    name = Name.of(config.name)
    root = Path(config.dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()
    folder = find(name, root) or prepare(name, root, download=config.download)
    builder = _open(folder)
    classes = _classes(builder.info)
    raw = builder.as_data_source(deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES)
    splits: dict[str, Any] = {
        str(split): TfdsSplit(str(split), records, len(classes), config.channels) for split, records in raw.items()
    }
    return Dataset(splits, Info(classes, f"TFDS {builder.info.full_name} in {folder}"))


def find(name: Name, root: Path) -> Path | None:
    """The folder of the newest prepared version that `name` allows; None if there is none.

    Raises:
      DataError: several configs of the set are prepared, and `name` names none.
    """
    home = root / name.set
    files = [home.glob("*/dataset_info.json"), home.glob("*/*/dataset_info.json")]
    folders = [file.parent for found in files for file in found if re.fullmatch(r"\d+\.\d+\.\d+", file.parent.name)]
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
      DataError: there is none for it, or its data is not here and may not or cannot be downloaded.
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
        why = reach.unreachable(url) if download else "config.data.download is off"
        if why:
            raise DataError(
                f"{missing}\nNor can it be downloaded from {reach.host(url)}: {why}.\n"
                f"Put its archive at {archive}, or use your own pictures:\n  {HELP}"
            )
    try:
        builder.prepare(root)
    except DataError as error:
        raise DataError(f"{error}\nOr use your own pictures: {HELP}") from error
    return root / name.set / builder.VERSION


def _open(folder: Path) -> Any:
    try:
        builder = tfds.builder_from_directory(folder)
        formats = {kind.value for kind in builder.info.available_file_formats()}
    except Exception as error:  # whatever TFDS meets in a damaged dataset_info.json or features.json
        raise DataError(
            f"{folder} must be a prepared TFDS set; reading it failed: {error}. Delete it and prepare it again."
        ) from error
    if "array_record" not in formats:
        raise DataError(
            f"{folder} must be prepared as array_record, to be read without TensorFlow; it is {', '.join(formats)}.\n"
            f"Prepare it again with file_format='array_record', or: {HELP}"
        )
    return builder


def _classes(info: Any) -> tuple[str, ...]:
    """Names of the classes; DataError unless the set is uint8 pictures under 'image' with a class under 'label'."""
    features = info.features
    named = dict(features) if isinstance(features, tfds.features.FeaturesDict) else {}
    image, label = (named.get(key) for key in ("image", "label"))
    fits = isinstance(image, tfds.features.Image) and image.np_dtype == np.uint8
    if not fits or not isinstance(label, tfds.features.ClassLabel):
        raise DataError(
            f"TFDS set '{info.full_name}' must have the features 'image' (Image, uint8) and 'label' (ClassLabel); "
            f"it has:\n{features}"
        )
    return tuple(label.names)


class TfdsSplit:
    """A split in array_record files; nothing is read before it is asked for."""

    def __init__(self, name: str, records: Any, classes: int, channels: int) -> None:
        self._name, self._records, self._classes, self._channels = name, records, classes, channels

    def __len__(self) -> int:
        return len(self._records)

    @functools.cached_property
    def labels(self) -> np.ndarray:
        """(N,) int32; every record is read, no picture decoded.

        Raises:
          DataError: records are damaged, or labels are no class.
        """
        labels = np.empty(len(self), np.int32)
        for start in range(0, len(self), BLOCK):
            stop = min(start + BLOCK, len(self))
            try:
                records = self._records.__getitems__(range(start, stop))
            except Exception as error:  # array_record has no class of its own for damaged or absent files
                raise DataError(
                    f"Split '{self._name}': the records {start}..{stop - 1} must be readable: {error}.\n"
                    "Delete the set and prepare it again."
                ) from error
            labels[start:stop] = [_label(_features(record)) for record in records]
        outside = np.flatnonzero((labels < 0) | (labels >= self._classes))
        if outside.size:
            raise DataError(
                f"Split '{self._name}': every label must be in 0..{self._classes - 1}, but {outside.size} of "
                f"{len(self)} are not (example {outside[0]}: {labels[outside[0]]}).\n"
                "TFDS marks unlabelled examples with -1: use another split."
            )
        return labels

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One example; ValueError if its picture is unreadable."""
        features = _features(self._records[index])
        own = [features[key].bytes_list.value for key in IDS if key in features]
        return {
            "image": pictures.decode(features["image"].bytes_list.value[0], channels=self._channels),
            "label": _label(features),
            "id": own[0][0].decode() if own and own[0] else f"{self._name}/{index}",
        }


def _features(record: bytes) -> Mapping[str, Any]:
    """A record is a tf.train.Example: `{feature: Feature}`."""
    example = tf_example_pb2.Example.FromString(record)  # pyright: ignore[reportAttributeAccessIssue]: made at import
    return example.features.feature


def _label(features: Mapping[str, Any]) -> int:
    return int(features["label"].int64_list.value[0])
