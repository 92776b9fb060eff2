"""Texts as token ids: tokenised once, kept by hash, padded to a few lengths so that XLA compiles a few shapes."""

import contextlib
import hashlib
import json
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tljax.errors import ConfigError, DataError, WeightsError
from tljax.masking import Vocabulary
from tljax.splits import Subset
from tljax.types import Batch

FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "vocab.json", "merges.txt")


class Tokenizer:
    """A tokenizer as Hugging Face publishes it, read from its folder; nothing is downloaded, no code of it runs."""

    def __init__(self, folder: Path) -> None:
        """Read what lies in `folder`.

        Raises:
          WeightsError: it holds no tokenizer, or one that cannot be read or has no padding token.
        """
        self.folder = folder
        present = [folder / name for name in FILES if (folder / name).is_file()]
        if not present:
            raise WeightsError(
                f"A tokenizer must lie beside the weights of a text encoder; '{folder}' holds none of "
                f"{', '.join(FILES)}. Set config.model.tokenizer to the folder that does."
            )
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
        from transformers import AutoTokenizer  # two seconds that only texts need
        from transformers.utils import logging

        logging.set_verbosity_error()  # it warns of texts that are longer than the network takes; we count them
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except (OSError, ValueError, KeyError) as error:
            raise WeightsError(f"The tokenizer in '{folder}' must be readable; it is not: {error}.") from error
        if self._tokenizer.pad_token_id is None:
            raise WeightsError(f"The tokenizer in '{folder}' must have a padding token; it has none.")
        digest = hashlib.sha256()
        for file in present:
            digest.update(file.name.encode() + file.read_bytes())
        self.fingerprint = digest.hexdigest()

    @property
    def padding(self) -> int:
        """The id that fills a row up."""
        return int(self._tokenizer.pad_token_id)

    def __call__(self, texts: Sequence[str], pairs: Sequence[str], longest: int) -> tuple[list[Any], list[Any], int]:
        """(ids, segment types, how many were cut to `longest` tokens) of every text, or of every pair.

        Args:
          pairs: the second texts; () where examples are single texts.
        """
        columns = (list(texts), list(pairs)) if pairs else (list(texts),)
        kept = self._tokenizer(*columns, truncation=True, max_length=longest, return_token_type_ids=True)
        full = [i for i, ids in enumerate(kept["input_ids"]) if len(ids) == longest]
        whole = self._tokenizer(*([column[i] for i in full] for column in columns))["input_ids"] if full else []
        return kept["input_ids"], kept["token_type_ids"], sum(len(ids) > longest for ids in whole)

    def vocabulary(self, size: int) -> Vocabulary:
        """What is to be known of its tokens to hide some of them, those that an encoder of `size` words knows."""
        words = self._tokenizer
        added = (i for i, token in words.added_tokens_decoder.items() if token.special)
        prefix = getattr(words.backend_tokenizer.model, "continuing_subword_prefix", None)  # "##", of WordPiece alone
        continues = (i for token, i in words.get_vocab().items() if prefix and token.startswith(prefix))
        return Vocabulary(
            size=min(len(words), size),
            mask=-1 if words.mask_token_id is None else words.mask_token_id,
            special=tuple(sorted({*words.all_special_ids, *added})),
            continues=tuple(sorted(continues)) if prefix else None,
        )

    def save(self, folder: Path) -> None:
        """Write it into `folder`, for `predict` and for the next transfer."""
        self._tokenizer.save_pretrained(folder)


class Tokens:
    """The texts of one part as token ids, in memory."""

    in_memory, views, skipped = True, 1, ()

    def __init__(self, subset: Subset, config: Any, tokenizer: Tokenizer) -> None:
        """Tokenise all, or take what an earlier run kept under the hash of texts, tokenizer and length.

        Args:
          config: the data's own; `lengths` are the lengths to which batches are padded, the last of them the
            longest a text may be: what is beyond is cut off and counted in `cut`.
        """
        self.subset, self.buckets, self.padding = subset, np.array(config.lengths), tokenizer.padding
        if not config.lengths or list(config.lengths) != sorted(set(config.lengths)) or config.lengths[0] < 1:
            raise ConfigError(f"config.data.lengths must rise and be above 0; got {tuple(config.lengths)}.")
        rows = [subset[i] for i in range(len(subset))]
        texts, pairs = [row["text"] for row in rows], [row["pair"] for row in rows]
        key = hashlib.sha256(json.dumps([texts, pairs, config.lengths[-1], tokenizer.fingerprint]).encode()).hexdigest()
        kept = _read(key)
        if kept is None:
            ids, types, cut = tokenizer(texts, pairs if any(pairs) else (), config.lengths[-1])
            lengths = np.array([len(row) for row in ids], np.int32)
            _refuse_empty(rows, lengths)
            kept = {"ids": _flat(ids), "types": _flat(types), "lengths": lengths, "cut": np.array(cut)}
            _write(key, kept)
        self._ids, self._types, self.lengths, self.cut = kept["ids"], kept["types"], kept["lengths"], int(kept["cut"])
        self._starts = np.cumsum(self.lengths) - self.lengths
        self.paired = any(pairs)

    def __len__(self) -> int:
        return len(self.subset)

    @property
    def highest(self) -> int:
        """The highest id: the network's vocabulary must be larger."""
        return int(self._ids.max())

    def take(self, positions: np.ndarray) -> Batch:
        """{"ids", "types": (B, L) int32, "tokens": (B, L) bool, True at tokens, "label": (B,) int32}.

        L is the smallest of `data.lengths` that holds the longest of these texts.
        """
        rows = padded(
            self._ids, self._types, self._starts[positions], self.lengths[positions], self.buckets, self.padding
        )
        return {**rows, "label": self.subset.labels[positions]}

    def fingerprint(self) -> str:
        """sha256 of the labels and of the token ids."""
        digest = hashlib.sha256(self.subset.labels.tobytes())
        for array in (self._ids, self._types, self.lengths):
            digest.update(array.tobytes())
        return digest.hexdigest()


def padded(
    ids: np.ndarray, types: np.ndarray, starts: np.ndarray, lengths: np.ndarray, buckets: np.ndarray, padding: int
) -> Batch:
    """{"ids", "types": (B, L) int32, "tokens": (B, L) bool, True at tokens}: L is the smallest bucket that holds all.

    Args:
      ids, types: of many texts, one behind the other; those of text i begin at `starts[i]` and are `lengths[i]`.
    """
    width = int(buckets[np.searchsorted(buckets, lengths.max())])
    tokens = np.arange(width) < lengths[:, None]
    places = np.where(tokens, starts[:, None] + np.arange(width), 0)
    ids = np.where(tokens, ids[places], padding).astype(np.int32)
    return {"ids": ids, "types": np.where(tokens, types[places], 0).astype(np.int32), "tokens": tokens}


def folder() -> Path:
    """Where token ids are kept: $TLJAX_CACHE/tokens."""
    return Path(os.environ.get("TLJAX_CACHE", "~/.cache/tljax")).expanduser() / "tokens"


def _refuse_empty(rows: Sequence[Any], lengths: np.ndarray) -> None:
    empty = [row["id"] for row, length in zip(rows, lengths, strict=True) if not length]
    if empty:
        raise DataError(
            f"Every text must have a token; {len(empty)} have none (they hold what the tokenizer leaves out): "
            f"{', '.join(empty[:10])}. Remove them."
        )


def _flat(rows: Sequence[Sequence[int]]) -> np.ndarray:
    return np.array([number for row in rows for number in row], np.int32)


def _read(key: str) -> dict[str, np.ndarray] | None:
    """What was kept under `key`; None where there is nothing, or it is damaged (zip holds checksums)."""
    faults = (OSError, ValueError, KeyError, zipfile.BadZipFile)
    file = folder() / f"{key}.npz"
    with contextlib.suppress(*faults), file.open("rb") as opened, np.load(opened) as kept:  # np.load leaves it open
        return {name: kept[name] for name in ("ids", "types", "lengths", "cut")}
    return None


def _write(key: str, arrays: dict[str, Any]) -> None:
    folder().mkdir(parents=True, exist_ok=True)
    part = folder() / f"{key}.part{os.getpid()}.npz"
    np.savez(part, **arrays)
    part.replace(folder() / f"{key}.npz")
