"""The meaning of a TFDS set's features: a picture or texts, and a class, numbers or a set as the label."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

import numpy as np
import tensorflow_datasets as tfds
from ml_collections import ConfigDict
from tensorflow_datasets.proto import tf_example_pb2

from tljax.core.errors import DataError
from tljax.data.labels import Label
from tljax.data.texts import Row

IDS = ("id", "file_name", "image/filename")  # features that may name an example


def named(info: tfds.core.DatasetInfo) -> dict[str, tfds.features.FeatureConnector]:
    """The set's features by name; {} if they have no names."""
    return dict(info.features) if isinstance(info.features, tfds.features.FeaturesDict) else {}


def shows_pictures(features: Mapping[str, Any]) -> bool:
    """Whether there are uint8 pictures under 'image'."""
    image = features.get("image")
    return isinstance(image, tfds.features.Image) and image.np_dtype == np.uint8


def says(features: Mapping[str, Any], columns: ConfigDict) -> bool:
    """Whether there are texts under the names of `columns` (`data.columns`)."""
    wanted = [name for name in (columns.text, columns.pair) if name]
    return all(isinstance(features.get(name), tfds.features.Text) for name in wanted)


def kind_of(feature: Any, name: str) -> tuple[str, tuple[str, ...]] | None:
    """The kind of labels (`Info.labels`), and the names of the classes or the numbers; None for another feature."""
    if isinstance(feature, tfds.features.ClassLabel):
        return "classes", tuple(feature.names)
    if isinstance(feature, tfds.features.Sequence) and isinstance(feature.feature, tfds.features.ClassLabel):
        return "sets", tuple(feature.feature.names)
    if type(feature) not in (tfds.features.Scalar, tfds.features.Tensor):  # texts and pictures are tensors, too
        return None
    dtype, shape = cast(np.dtype, feature.np_dtype), cast(tuple[int | None, ...], feature.shape)
    if not np.issubdtype(dtype, np.floating) or len(shape) > 1 or None in shape:
        return None
    return "numbers", tuple(f"{name} {i}" for i in range(shape[0] or 0)) if shape else (name,)


def read(record: bytes) -> Mapping[str, Any]:
    """A record is a tf.train.Example: `{feature: Feature}`."""
    example = tf_example_pb2.Example.FromString(record)  # pyright: ignore[reportAttributeAccessIssue]: made at import
    return example.features.feature


def label(features: Mapping[str, Any], name: str, kind: str) -> Any:
    """An int, the number of a class; an array of numbers (T,) or of classes' numbers."""
    values = features[name]
    if kind == "numbers":
        return np.array(values.float_list.value, np.float64)
    numbers = list(values.int64_list.value)
    return numbers[0] if kind == "classes" else np.array(numbers, int)


def identity(features: Mapping[str, Any], otherwise: str) -> str:
    """The set's name of an example."""
    own = [features[key].bytes_list.value for key in IDS if key in features]
    return own[0][0].decode() if own and own[0] else otherwise


def rows(split: str, records: Iterable[bytes], columns: ConfigDict, kind: str, classes: tuple[str, ...]) -> list[Row]:
    """The texts of a split, all of them.

    Raises:
      DataError: a label that is no class, or a text that is not UTF-8.
    """
    found, outside = [], []
    for number, record in enumerate(records):
        features = read(record)
        value = label(features, columns.label, kind)
        given = np.atleast_1d(value)
        if kind != "numbers" and given.size and not 0 <= given.min() <= given.max() < len(classes):
            outside.append(f"example {number}: {value}")
            continue
        texts = [_text(features, name, f"{split}/{number}") for name in (columns.text, columns.pair) if name]
        found.append(Row(texts[0], texts[1] if columns.pair else "", _named(value, kind, classes), f"{split}/{number}"))
    if outside:
        raise DataError(
            f"Split '{split}': every label must be in 0..{len(classes) - 1}, but {len(outside)} are not "
            f"({outside[0]}).\nTFDS marks unlabelled examples with -1: use another split (config.data.splits)."
        )
    return found


def _text(features: Mapping[str, Any], name: str, where: str) -> str:
    try:
        return features[name].bytes_list.value[0].decode()
    except UnicodeDecodeError as error:
        raise DataError(f"Texts must be UTF-8; '{name}' of {where} is not: {error}.") from error


def _named(value: Any, kind: str, classes: tuple[str, ...]) -> Label:
    if kind == "classes":
        return classes[value]
    return tuple(value.tolist()) if kind == "numbers" else frozenset(classes[i] for i in value)
