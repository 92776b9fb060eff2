"""Texts: tokenised once by the tokenizer that belongs to the weights, padded by batch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from tljax import pretrained
from tljax.errors import ConfigError, WeightsError
from tljax.splits import Subset
from tljax.tokens import Tokenizer, Tokens
from tljax.types import Batch, Card, Inputs


def load(subsets: Mapping[str, Subset], config: Any, *, card: Card, backbone: Any) -> Inputs:
    """Tokenise every part.

    Args:
      config: the whole; `data.lengths`, `model.tokenizer` and `model.weights` are used.
      backbone: the encoder; its `variant` says how many positions and words it knows.

    Raises:
      ConfigError: texts may be longer than the encoder's positions.
      WeightsError: no tokenizer, or one with more words than the encoder.
    """
    del card  # of pixels
    if config.data.lengths and max(config.data.lengths) > backbone.variant.longest:
        raise ConfigError(
            f"config.data.lengths must be at most the {backbone.variant.longest} tokens of this encoder; got "
            f"{tuple(config.data.lengths)}."
        )
    tokenizer = Tokenizer(place(config.model))
    parts = {name: Tokens(subset, config.data, tokenizer) for name, subset in subsets.items()}
    highest = max(part.highest for part in parts.values())
    if highest >= backbone.variant.vocabulary:
        raise WeightsError(
            f"The tokenizer in '{tokenizer.folder}' must belong to the weights: it makes the id {highest}, and the "
            f"encoder knows {backbone.variant.vocabulary} (0 to {backbone.variant.vocabulary - 1}). Set "
            f"config.model.tokenizer to the folder of theirs."
        )
    notes = _notes(parts, config.data.lengths[-1])
    return Inputs(parts, _prepare, example(), augmented=False, notes=notes, save=tokenizer.save)


def place(config: Any) -> Path:
    """The tokenizer's folder: `model.tokenizer`, else that of `model.weights`.

    Raises:
      ConfigError: neither is given.
    """
    if config.tokenizer:
        return Path(config.tokenizer).expanduser()
    if not config.weights:
        raise ConfigError("A text encoder needs a tokenizer: set config.model.tokenizer to its folder.")
    return pretrained.folder_of(config.weights)


def example() -> dict[str, np.ndarray]:
    """One input, (1, 8): only shapes and dtypes matter, and no parameter's shape depends on the length."""
    ids = np.zeros((1, 8), np.int32)
    return {"ids": ids, "mask": np.ones((1, 8), bool), "types": ids}


def _prepare(batch: Batch, key: jax.Array, train: bool) -> dict[str, jax.Array]:
    del key, train
    return {"ids": batch["ids"], "mask": batch["tokens"], "types": batch["types"]}


def _notes(parts: Mapping[str, Tokens], longest: int) -> tuple[str, ...]:
    texts, cut = sum(len(part) for part in parts.values()), sum(part.cut for part in parts.values())
    counts = np.concatenate([part.lengths for part in parts.values()])
    return (
        f"tokens: {counts.sum():,} of {texts:,} texts, {np.mean(counts):.1f} a text, "
        f"{cut:,} texts cut to {longest} ({cut / texts:.1%})",
    )
