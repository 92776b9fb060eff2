"""Texts: tokenised once by the tokenizer of the weights, padded in each batch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from tljax.core.errors import ConfigError, DataError, WeightsError
from tljax.core.options import Option, Rule
from tljax.core.remote import copies
from tljax.core.types import Asked, Batch, Card, Inputs, Json, Record
from tljax.data import vocabularies
from tljax.data.parts.subsets import Subset
from tljax.data.texts import fault, key
from tljax.data.tokenizer import Tokenizer
from tljax.data.tokens import Tokens, padded
from tljax.networks.backbone import Backbone
from tljax.weights.pretrained import folder_of

MANY_UNKNOWN = 0.1  # of all tokens: a warning
AUTO = "auto"
LENGTHS: Rule = (
    "whole numbers > 0 that rise, at least one",
    lambda xs: len(xs) > 0 and all(isinstance(x, int) and x > 0 for x in xs) and list(xs) == sorted(set(xs)),
)
OPTIONS = {
    "lengths": Option((64, 128, 256), "Lengths that batches are padded to; longer texts are cut and counted.", LENGTHS),
    "prefix": Option(AUTO, "What stands before every text; auto: what the weights were trained with, by their files."),
}


class Read(NamedTuple):
    """A text for the prediction of a finished run, as tokens."""

    ids: np.ndarray  # (n,) int32
    types: np.ndarray
    cut: int  # 1 if the text was longer than the longest of the run's lengths


def load(
    subsets: Mapping[str, Subset],
    config: ConfigDict,
    *,
    model: ConfigDict,
    card: Card,
    backbone: Backbone,
    pretrained: bool = True,
) -> Inputs:
    """Tokenise every part.

    Args:
      config: `config.data`; its `lengths`, `prefix` and `duplicates` are used.
      model: `config.model`; its `tokenizer`, `weights` and `lock_file` are used.
      card: of the weights; it may hold a prefix.
      backbone: the encoder; its `variant` has the number of positions and of words.
      pretrained: whether the run starts from `weights`; the tokenizer must then belong to them.

    Raises:
      ConfigError: `data.lengths` has a length beyond the encoder's positions.
      DataError: a text is in two parts, and config.data.duplicates is "error".
      WeightsError: there is no tokenizer, or it is not the encoder's, as far as can be checked.
    """
    if config.lengths and max(config.lengths) > backbone.variant.longest:
        raise ConfigError(
            f"config.data.lengths must be at most the {backbone.variant.longest} tokens of this encoder; got "
            f"{tuple(config.lengths)}."
        )
    tokenizer = Tokenizer(place(model))
    _same_padding(tokenizer, backbone.variant)
    said = vocabularies.check(tokenizer, _folder(model)) if pretrained else ()
    prefix = card.prefix if config.prefix == AUTO else config.prefix
    parts = {name: Tokens(subset, config, tokenizer, prefix) for name, subset in subsets.items()}
    if fault := _unknown(tokenizer, max(part.highest for part in parts.values()), backbone.variant):
        raise WeightsError(f"{fault} Set config.model.tokenizer to the folder of the weights' own tokenizer.")
    repeats = _repeats(subsets, strict=config.duplicates == "error")
    notes = (
        *said,
        *_notes(parts, config.lengths[-1]),
        *_prefix_note(prefix, card.prefix),
        *_unknown_words(parts, tokenizer),
        *repeats,
    )
    vocabulary = tokenizer.vocabulary(backbone.variant.vocabulary)
    return Inputs(parts, _prepare, augmented=False, notes=notes, save=tokenizer.save, vocabulary=vocabulary)


def sizes(parts: Mapping[str, Tokens], config: ConfigDict, *, card: Card) -> Record:
    """For `reopen`: the lengths that batches are padded to, whether examples are pairs, what stands before each text,
    and the words' checksum.
    """
    del card  # of pixels
    (vocabulary,) = {part.vocabulary for part in parts.values()}
    (prefix,) = {part.prefix for part in parts.values()}
    pairs = any(part.paired for part in parts.values())
    return {"lengths": list(config.lengths), "pairs": pairs, "prefix": prefix, "vocabulary": vocabulary}


def said(part: Tokens) -> dict[str, list[str]]:
    """The names of a part's examples for the user: their place, and their text."""
    rows = [part.subset[i] for i in range(len(part))]
    found = {"name": [part.subset.name(i) for i in range(len(part))], "text": [row["text"] for row in rows]}
    return found | ({"pair": [row["pair"] for row in rows]} if part.paired else {})


def reopen(folder: Path, said: Json, *, card: Card, backbone: Backbone) -> Asked:
    """Read texts, pairs with a tab between, or a source's examples, in the same way as a run with these `sizes`.

    Args:
      folder: the run's folder model/, which holds its tokenizer.

    Raises:
      WeightsError: no tokenizer, or one that is not the encoder's.
    """
    del card
    tokenizer, buckets = Tokenizer(folder), np.array(said["lengths"])
    _same_padding(tokenizer, backbone.variant)
    vocabularies.same_checksum(tokenizer, said.get("vocabulary", ""))  # earlier runs kept none

    def read(asked: str | Mapping[str, Any]) -> Read:
        texts = _checked(_parts(asked, pairs=said["pairs"]), 2 if said["pairs"] else 1)
        texts = [said.get("prefix", "") + text for text in texts]  # earlier runs kept none
        (ids,), (types,), cut = tokenizer(texts[:1], texts[1:], said["lengths"][-1])
        if not ids:
            raise ValueError("it has no tokens: the tokenizer removes all of it")
        if fault := _unknown(tokenizer, max(ids), backbone.variant):
            raise ValueError(fault)
        return Read(np.array(ids, np.int32), np.array(types, np.int32), cut)

    def batch(rows: Sequence[Read]) -> Batch:
        lengths = np.array([len(row.ids) for row in rows])
        ids, types = (np.concatenate([row[i] for row in rows]) for i in (0, 1))
        return padded(ids, types, np.cumsum(lengths) - lengths, lengths, buckets, tokenizer.padding)

    return Asked(read, batch, _prepare, example(), tokenizer.save)


def place(config: ConfigDict) -> Path:
    """The tokenizer's folder: `model.tokenizer`, else that of `model.weights`.

    Raises:
      ConfigError: neither is given.
    """
    if config.tokenizer:
        return copies.local(config.tokenizer)
    if not config.weights:
        raise ConfigError("A text encoder needs a tokenizer: set config.model.tokenizer to its folder.")
    return _folder(config)


def _folder(config: ConfigDict) -> Path:
    """The folder of `model.weights`."""
    return folder_of(config.weights, card=Card(mean=(), std=()), lock=Path(config.lock_file))


def example(config: ConfigDict | None = None, card: Card | None = None) -> dict[str, np.ndarray]:
    """One input, (1, 8): only shapes and dtypes matter, and no parameter's shape depends on the length."""
    del config, card
    ids = np.zeros((1, 8), np.int32)
    return {"ids": ids, "mask": np.ones((1, 8), bool), "types": ids}


def _parts(asked: str | Mapping[str, Any], *, pairs: bool) -> list[str]:
    """The text, or the texts of a pair."""
    if isinstance(asked, Mapping):
        return [asked["text"], asked["pair"]] if pairs or asked["pair"] else [asked["text"]]
    return [part.strip() for part in asked.split("\t")] if pairs else [asked]


def _checked(texts: list[str], number: int) -> list[str]:
    """The texts, checked; ValueError if they do not have the form of the run's examples."""
    if len(texts) != number:
        raise ValueError(f"it must be {number} texts with a tab between, as the run's examples are; got {len(texts)}")
    if not all(part.strip() for part in texts):
        raise ValueError("it is empty" if number == 1 else "one of its texts is empty")
    if why := fault("".join(texts)):
        raise ValueError(why)
    return texts


def _unknown(tokenizer: Tokenizer, highest: int, shape: Any) -> str:
    """The error text if the encoder does not have the id `highest`; "" if it has."""
    if highest < shape.vocabulary:
        return ""
    return (
        f"The tokenizer in '{tokenizer.folder}' must belong to the weights: it makes the id {highest}, and the "
        f"encoder knows {shape.vocabulary} (0 to {shape.vocabulary - 1})."
    )


def _same_padding(tokenizer: Tokenizer, shape: Any) -> None:
    """Check the padding's id: the weights show it, because RoBERTa's positions begin after this id."""
    if shape.padding not in (None, tokenizer.padding):
        raise WeightsError(
            f"The tokenizer in '{tokenizer.folder}' must belong to the weights: it pads with the id "
            f"{tokenizer.padding}, and the encoder with {shape.padding}. Set config.model.tokenizer to the folder of "
            f"theirs."
        )


def _prepare(batch: Batch, key: jax.Array, train: bool) -> Batch:
    del key, train
    return {**batch, "inputs": {"ids": batch["ids"], "mask": batch["tokens"], "types": batch["types"]}}


def _notes(parts: Mapping[str, Tokens], longest: int) -> tuple[str, ...]:
    texts, cut = sum(len(part) for part in parts.values()), sum(part.cut for part in parts.values())
    counts = np.concatenate([part.lengths for part in parts.values()])
    return (
        f"tokens: {counts.sum():,} of {texts:,} texts, {np.mean(counts):.1f} a text, "
        f"{cut:,} texts cut to {longest} ({cut / texts:.1%})",
    )


def _prefix_note(prefix: str, known: str) -> tuple[str, ...]:
    """A note of what stands before every text, and of what the weights were trained with if that is another."""
    other = (
        f"; these weights were trained with {known!r} (config.data.prefix=auto)" if known not in ("", prefix) else ""
    )
    return (f"prefix: {prefix!r} stands before every text{other}",) if prefix or other else ()


def _unknown_words(parts: Mapping[str, Tokens], tokenizer: Tokenizer) -> tuple[str, ...]:
    """A note of how many words the tokenizer does not know: most words, if texts are in another language."""
    number = tokenizer.special.get("unk_token_id")
    unknown = 0 if number is None else sum(part.count(number) for part in parts.values())
    tokens = sum(int(part.lengths.sum()) for part in parts.values())
    if not unknown:
        return ()
    warning = "warning: " if unknown > MANY_UNKNOWN * tokens else ""
    return (
        f"{warning}{unknown:,} of {tokens:,} tokens ({unknown / tokens:.1%}) are words that the tokenizer does not "
        f"know: all are one to the network",
    )


def _repeats(subsets: Mapping[str, Subset], *, strict: bool) -> tuple[str, ...]:
    """A note of how many texts of every other part are also in the training part; an error if `strict`."""
    keys = {name: [key(row["text"], row["pair"]) for row in map(part.__getitem__, range(len(part)))]
            for name, part in subsets.items()}  # fmt: skip
    seen = set(keys["train"])
    counts = {name: sum(one in seen for one in rows) for name, rows in keys.items() if name != "train"}
    found = ", ".join(f"{count:,} of {name}" for name, count in counts.items() if count)
    if found and strict:
        raise DataError(
            f"Texts must be in one part only (config.data.duplicates=error); {found} are in train too. Remove them "
            f"from one part, or set config.data.duplicates=remove."
        )
    note = f"repeats: {found} are in train too; config.data.duplicates=remove leaves them out"
    return (note,) if found else ()
