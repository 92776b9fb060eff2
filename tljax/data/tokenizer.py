"""A tokenizer as Hugging Face publishes it: from texts to ids, and facts about its words."""

import contextlib
import hashlib
import importlib.util
import json
import logging
import os
import threading
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from tljax.core.errors import WeightsError
from tljax.data.masking import Vocabulary
from tljax.weights.local_weights import SENTENCEPIECE, TOKENIZER

SPECIAL = ("pad", "bos", "eos", "cls", "sep", "mask", "unk")  # config.json calls their ids "<name>_token_id"


class Tokenizer:
    """A tokenizer read from its folder; nothing is downloaded, and none of its code runs."""

    def __init__(self, folder: Path) -> None:
        """Read the tokenizer in `folder`.

        Raises:
          WeightsError: there is no tokenizer, or it cannot be read or has no padding token.
        """
        self.folder = folder
        self._one = threading.Lock()  # truncation is a state of the tokenizer, and `predict` uses threads
        present = files(folder)
        if not present:
            raise WeightsError(
                f"A tokenizer must lie beside the weights of a text encoder; '{folder}' holds none of "
                f"{', '.join(TOKENIZER)}. Set config.model.tokenizer to the folder that does."
            )
        _readable(folder, {file.name for file in present})
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
        with _without_advice_on_torch():
            from transformers import AutoTokenizer  # takes two seconds, and only texts need it
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except Exception as error:  # the package tokenizers raises plain exceptions, transformers any kind
            raise WeightsError(f"The tokenizer in '{folder}' must be readable; it is not: {error}.") from error
        if self._tokenizer.pad_token_id is None:
            raise WeightsError(f"The tokenizer in '{folder}' must have a padding token; it has none.")
        self._encoded(["a \u25a1"], ["b"], verbose=False)  # before texts are read: a damaged one fails at any text
        digest = hashlib.sha256()
        for file in present:
            digest.update(file.name.encode() + file.read_bytes())
        self.fingerprint = digest.hexdigest()

    @property
    def padding(self) -> int:
        """The id of padding."""
        return int(self._tokenizer.pad_token_id)

    @cached_property
    def words(self) -> dict[int, str]:
        """Id -> token."""
        return {i: token for token, i in self._tokenizer.get_vocab().items()}

    @property
    def checksum(self) -> str:
        """sha256 of `words`, which does not depend on the format of files."""
        return hashlib.sha256(json.dumps(sorted(self.words.items())).encode()).hexdigest()

    @property
    def special(self) -> dict[str, int]:
        """Key of a config.json ("pad_token_id") -> id, for the special tokens that it has."""
        numbers = {f"{name}_token_id": getattr(self._tokenizer, f"{name}_token_id", None) for name in SPECIAL}
        return {key: int(value) for key, value in numbers.items() if value is not None}

    def count(self, text: str) -> int:
        """The number of a text's own tokens."""
        return len(self._tokenizer(text, add_special_tokens=False)["input_ids"]) if text else 0

    def added(self, *, pairs: bool) -> int:
        """The number of tokens that it adds to a text, or to a pair of texts."""
        return self._tokenizer.num_special_tokens_to_add(pair=pairs)

    def __call__(
        self, texts: Sequence[str], pairs: Sequence[str], longest: int
    ) -> tuple[list[list[int]], list[list[int]], int]:
        """(ids, segment types, how many were cut to `longest` tokens) of every text, or of every pair.

        Args:
          pairs: the second texts; () if examples are single texts.
        """
        columns = (list(texts), list(pairs)) if pairs else (list(texts),)
        with self._one:
            cut = self._encoded(*columns, truncation=True, max_length=longest, return_token_type_ids=True)
            full = [i for i, ids in enumerate(cut["input_ids"]) if len(ids) == longest]
            again = [[column[i] for i in full] for column in columns]
            # verbose=False: no warning about texts that are too long for the network, because we count them.
            whole = self._encoded(*again, verbose=False)["input_ids"] if full else []
        return cut["input_ids"], cut["token_type_ids"], sum(len(ids) > longest for ids in whole)

    def _encoded(self, *columns: list[str], **how: Any) -> Any:
        """What the package makes of texts; WeightsError if its rules contradict each other."""
        try:
            return self._tokenizer(*columns, **how)
        except BaseException as error:  # a panic of the package's Rust is no Exception
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            raise WeightsError(
                f"The tokenizer in '{self.folder}' must be able to read texts; it fails: {error}."
            ) from error

    def vocabulary(self, size: int) -> Vocabulary:
        """The facts for masking its tokens, for an encoder with `size` words."""
        words = self._tokenizer
        added = (i for i, token in words.added_tokens_decoder.items() if token.special)
        prefix = getattr(words.backend_tokenizer.model, "continuing_subword_prefix", None)  # "##", only for WordPiece
        continues = (i for i, token in self.words.items() if prefix and token.startswith(prefix))
        return Vocabulary(
            size=min(len(words), size),
            mask=-1 if words.mask_token_id is None else words.mask_token_id,
            special=tuple(sorted({*words.all_special_ids, *added})),
            continues=tuple(sorted(continues)) if prefix else None,
        )

    def save(self, folder: Path) -> None:
        """Write it into `folder`, for `predict` and for the next transfer."""
        self._tokenizer.save_pretrained(folder)


def files(folder: Path) -> list[Path]:
    """The files of a tokenizer in `folder`."""
    return [folder / name for name in TOKENIZER if (folder / name).is_file()]


def _readable(folder: Path, present: set[str]) -> None:
    """Raise WeightsError if only a package that is not installed can read these files."""
    only = present & set(SENTENCEPIECE)
    if only and "tokenizer.json" not in present and importlib.util.find_spec("sentencepiece") is None:
        raise WeightsError(
            f"The tokenizer in '{folder}' is {' and '.join(sorted(only))}, which only the package sentencepiece reads: "
            f"pip install sentencepiece. Or put its tokenizer.json there, which needs none: where sentencepiece is, "
            f"transformers.AutoTokenizer.from_pretrained(<folder>).save_pretrained(<folder>) writes it."
        )


@contextlib.contextmanager
def _without_advice_on_torch() -> Iterator[None]:
    """A context for importing transformers without its log line about models that need torch."""

    def other(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("PyTorch was not found")

    logger = logging.getLogger("transformers")
    logger.addFilter(other)
    try:
        yield
    finally:
        logger.removeFilter(other)
