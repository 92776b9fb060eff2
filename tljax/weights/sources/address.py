"""Weights in an object store: gs://bucket/net.safetensors, or a folder there; they are copied into the cache."""

from pathlib import Path

from tljax.core.remote import copies
from tljax.core.remote.store import is_address
from tljax.core.types import Card, Published
from tljax.weights import local_weights

BESIDE = (".json", ".txt", ".model")  # beside a single file: its card, the network's config, a tokenizer


def claims(spec: str) -> bool:
    """Whether `spec` is an address, "scheme://..."."""
    return is_address(spec)


def read(spec: str, *, card: Card | None = None, lock: Path | None = None) -> Published:
    """Read the arrays of the file or folder, as from a local one.

    Raises:
      DataError: nothing lies at the address, or it cannot be read.
      WeightsError: see `local_weights.read`.
    """
    del lock  # only downloads from the hub are locked
    return local_weights.read(locate(spec), card)


def read_card(spec: str, *, card: Card | None = None, lock: Path | None = None) -> Card:
    """The card beside the weights, else `card`; an error if there is neither."""
    del lock
    return local_weights.read_card(locate(spec), card)


def locate(spec: str, *, card: Card | None = None, lock: Path | None = None) -> Path:
    """The copy of the file or folder."""
    del card, lock
    return copies.local(spec, beside=BESIDE)
