"""Weights from a local file, or from a folder: the `model/` of a finished run, or a folder that transformers wrote."""

import re
from pathlib import Path

from tljax.core.types import Card, Published
from tljax.weights import local_weights, tensors


def claims(spec: str) -> bool:
    """Whether `spec` is a path: it exists, or it ends in a suffix of weights and does not begin with "source:"."""
    of_another = re.match(r"\w{2,}:", spec)
    return Path(spec).expanduser().exists() or (tensors.is_file_name(spec) and not of_another)


def read(spec: str, *, card: Card | None = None, lock: Path | None = None) -> Published:
    """Read all arrays of `spec`, a file or a folder that holds `model.safetensors`.

    The card is `<name>.card.json` beside `<name>.safetensors`; in a folder it is `card.json`, or the file of
    transformers (preprocessor_config.json) or timm (config.json). Without these it is `card`.

    Raises:
      WeightsError: the file is absent or damaged, has another format than its suffix says, or has no card.
    """
    del lock  # only downloads are locked
    return local_weights.read(Path(spec).expanduser(), card)


def read_card(spec: str, *, card: Card | None = None, lock: Path | None = None) -> Card:
    """The card beside the file, else `card`; an error if there is neither."""
    del lock
    return local_weights.read_card(Path(spec).expanduser(), card)


def locate(spec: str, *, card: Card | None = None, lock: Path | None = None) -> Path:
    """The path of the file or folder."""
    del card, lock
    return Path(spec).expanduser()
