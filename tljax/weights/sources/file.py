"""Weights from a local file, or from a folder: a finished run's `model/`, or one that transformers wrote."""

import re
from pathlib import Path

from tljax.core.types import Card, Published
from tljax.weights import local_weights, tensors


def claims(spec: str) -> bool:
    """Whether `spec` is a path: it exists, or ends as files of weights do and does not begin as "source:"."""
    of_another = re.match(r"\w{2,}:", spec)
    return Path(spec).expanduser().exists() or (tensors.is_file_name(spec) and not of_another)


def read(spec: str, *, card: Card | None = None, lock: Path | None = None) -> Published:
    """Read all arrays of `spec`, a file or a folder that holds `model.safetensors`.

    The card is `<name>.card.json` beside `<name>.safetensors` or, in a folder, `card.json` or what
    transformers (preprocessor_config.json) or timm (config.json) wrote; else the one given.

    Raises:
      WeightsError: the file is absent, damaged, not what its name says, or has no card.
    """
    del lock  # a local file is what it is
    return local_weights.read(Path(spec).expanduser(), card)


def read_card(spec: str, *, card: Card | None = None, lock: Path | None = None) -> Card:
    """The card beside the file, else the one given; an error if there is neither."""
    del lock
    return local_weights.read_card(Path(spec).expanduser(), card)


def locate(spec: str, *, card: Card | None = None, lock: Path | None = None) -> Path:
    """The file or folder that `spec` means."""
    del card, lock
    return Path(spec).expanduser()
