"""Texts as token ids: tokenised once, cached by hash, padded to a few lengths so that XLA compiles few shapes."""

import hashlib
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from tljax.core import caches
from tljax.core.atomic import make_folder, whole
from tljax.core.errors import ConfigError, DataError
from tljax.core.types import Batch, Json
from tljax.data.parts.subsets import Subset
from tljax.data.tokenizer import Tokenizer


class Tokens:
    """The texts of one part as token ids, in memory."""

    in_memory, views, skipped = True, 1, ()

    def __init__(self, subset: Subset, config: ConfigDict, tokenizer: Tokenizer, prefix: str = "") -> None:
        """Tokenise all texts, or read the cache of an earlier run, by the hash of texts, tokenizer and length.

        Args:
          config: config.data; batches are padded to one of `lengths`. The last is the longest length of a text: longer
            texts are cut, and counted in `cut`.
          prefix: what stands before every text, also before both texts of a pair.
        """
        if subset.labels is None:
            raise ConfigError(f"Texts have no {subset.info.labels} for labels; choose a task with other labels.")
        self.subset, self.buckets, self.padding = subset, np.array(config.lengths), tokenizer.padding
        self._labels = subset.labels
        self.vocabulary = tokenizer.checksum
        rows = [subset[i] for i in range(len(subset))]
        self.prefix = prefix
        texts = [prefix + row["text"] for row in rows]
        pairs = [row["pair"] and prefix + row["pair"] for row in rows]
        number = 2 if any(pairs) else 1
        least = tokenizer.added(pairs=any(pairs)) + number * (1 + tokenizer.count(prefix))
        if config.lengths[-1] < least:
            raise ConfigError(
                f"The last of config.data.lengths must hold a text: {least} tokens at least, with those that the "
                f"tokenizer adds and those of config.data.prefix; got {tuple(config.lengths)}."
            )
        key = hashlib.sha256(json.dumps([texts, pairs, config.lengths[-1], tokenizer.fingerprint]).encode()).hexdigest()
        arrays = _read(key)
        if arrays is None:
            ids, types, cut = tokenizer(texts, pairs if any(pairs) else (), config.lengths[-1])
            lengths = np.array([len(row) for row in ids], np.int32)
            _refuse_empty(rows, lengths)
            arrays = {"ids": _flat(ids), "types": _flat(types), "lengths": lengths, "cut": np.array(cut)}
            _write(key, arrays)
        self._ids, self._types, self.lengths, self.cut = (
            arrays["ids"],
            arrays["types"],
            arrays["lengths"],
            int(arrays["cut"]),
        )
        self._starts = np.cumsum(self.lengths) - self.lengths
        self.paired = any(pairs)

    def __len__(self) -> int:
        return len(self.subset)

    @property
    def highest(self) -> int:
        """The highest id: the network's vocabulary must be larger."""
        return int(self._ids.max())

    def count(self, number: int) -> int:
        """How many tokens have this id."""
        return int((self._ids == number).sum())

    def take(self, positions: np.ndarray) -> Batch:
        """{"ids", "types": (B, L) int32, "tokens": (B, L) bool, True at tokens, "label": (B,) int32}.

        L is the smallest of `data.lengths` that holds the longest of these texts.
        """
        rows = padded(
            self._ids, self._types, self._starts[positions], self.lengths[positions], self.buckets, self.padding
        )
        return {**rows, "label": self._labels[positions]}

    def fingerprint(self) -> str:
        """sha256 of the labels and of the token ids."""
        digest = hashlib.sha256(self._labels.tobytes())
        for array in (self._ids, self._types, self.lengths):
            digest.update(array.tobytes())
        return digest.hexdigest()


def padded(
    ids: np.ndarray, types: np.ndarray, starts: np.ndarray, lengths: np.ndarray, buckets: np.ndarray, padding: int
) -> Batch:
    """{"ids", "types": (B, L) int32, "tokens": (B, L) bool, True at tokens}: L is the smallest bucket that holds all.

    Args:
      ids: of many texts, one behind the other; those of text i begin at `starts[i]` and are `lengths[i]`.
      types: of the same tokens, as `ids`.
    """
    width = int(buckets[np.searchsorted(buckets, lengths.max())])
    tokens = np.arange(width) < lengths[:, None]
    places = np.where(tokens, starts[:, None] + np.arange(width), 0)
    ids = np.where(tokens, ids[places], padding).astype(np.int32)
    return {"ids": ids, "types": np.where(tokens, types[places], 0).astype(np.int32), "tokens": tokens}


def folder() -> Path:
    """The folder of cached token ids: $TLJAX_CACHE/tokens."""
    return caches.folder("tokens")


def _refuse_empty(rows: Sequence[Json], lengths: np.ndarray) -> None:
    empty = [row["id"] for row, length in zip(rows, lengths, strict=True) if not length]
    if empty:
        raise DataError(
            f"Every text must have a token; {len(empty)} have none (they hold what the tokenizer leaves out): "
            f"{', '.join(empty[:10])}. Remove them."
        )


def _flat(rows: Sequence[Sequence[int]]) -> np.ndarray:
    return np.array([number for row in rows for number in row], np.int32)


def _read(key: str) -> dict[str, np.ndarray] | None:
    """The cached arrays of `key`; None if there are none, or, with a warning, if they are damaged."""
    file = folder() / f"{key}.npz"
    if not file.exists():
        return None
    caches.used(file)
    try:
        with file.open("rb") as opened, np.load(opened) as arrays:  # np.load leaves it open
            return {name: arrays[name] for name in ("ids", "types", "lengths", "cut")}
    except Exception as error:  # numpy and zipfile raise a dozen kinds for damaged bytes
        why = f"{type(error).__name__}: {error}"
        warnings.warn(f"Token ids kept in '{file}' are damaged ({why}); they are made again.", stacklevel=2)
        return None


def _write(key: str, arrays: dict[str, Any]) -> None:
    try:
        make_folder(folder())
        caches.sweep(folder())
        with whole(folder() / f"{key}.npz") as part, part.open("wb") as file:
            np.savez(file, **arrays)
    except ConfigError as error:
        warnings.warn(f"Token ids are not kept, and made again in the next run. {error}", stacklevel=2)
