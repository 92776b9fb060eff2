"""Masked language modelling: which token stands at a hidden place (Devlin et al. 2018); labels are not read.

Further pretraining on one's own texts before the task itself, domain-adaptive pretraining (Gururangan et al. 2020):
train with this task, and start the next run from this one's model/ (`model.weights`).
"""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import DTypeLike
from ml_collections import ConfigDict

from tljax.core import plugins
from tljax.core.errors import ConfigError, DataError, WeightsError
from tljax.core.options import Option
from tljax.core.types import Batch, Inputs, Published, Totals, VariantLike
from tljax.data import masking
from tljax.networks.families import Family, HidesWords
from tljax.networks.masked_network import Head, MaskedNetwork
from tljax.networks.network import Built

LABELS = "none"  # they are not read
BEST = "accuracy"  # of the hidden tokens
OPTIONS = {
    "mask_share": Option(0.15, "Share of a text's tokens that are hidden.", ("in (0, 1)", lambda x: 0 < x < 1)),
    "whole_words": Option(False, "Hide words, not tokens; tokenizers of WordPiece alone show them."),
}
LARGEST = 709.0  # whose exponential is a float64
Said = dict[str, jax.Array]  # what `MaskedNetwork` returns


def choices(classes: int) -> dict[str, int]:
    """What `train.best` may name: 1 where larger is better, -1 where smaller is."""
    del classes
    return {"loss": -1, "accuracy": 1}


def build(
    family: Family, variant: VariantLike, published: Published | None, *, dtype: DTypeLike, bn_axis: str | None
) -> Built:
    """The encoder without a pooler, which this task would not train, and with the published head where there is one.

    Raises:
      ConfigError: the family has no words.
      WeightsError: the published head's last layer is not the word embeddings.
    """
    if not isinstance(family, HidesWords):
        raise ConfigError(
            f"config.task.name=masked_lm hides words, and config.model.family '{plugins.name(family)}' "
            f"sees {family.INPUT}. Choose a text encoder: bert, roberta, distilbert, electra, deberta."
        )
    kept = family.unpooled(variant)
    backbone = family.build(kept, dtype=dtype, bn_axis=bn_axis)
    notes = () if kept == variant else ("pooler: left out, masked_lm does not train it; model/ has none",)
    return Built(
        MaskedNetwork(backbone, Head(backbone.variant, dtype=dtype)),
        family.masked_names(kept),
        kept,
        published_head=published is not None and family.has_masked_head(published.arrays),
        notes=notes,
    )


def inputs(found: Inputs, config: ConfigDict) -> Inputs:
    """The same texts with tokens hidden: drawn in training, fixed by a text's place in its part in evaluation.

    Args:
      config: the task's own.

    Raises:
      ConfigError: the tokenizer does not show which tokens go on with a word, where whole words are asked for.
      WeightsError: it has no token that stands for a hidden one.
    """
    vocabulary = found.vocabulary
    if not 0 <= vocabulary.mask < vocabulary.size:
        has = "none" if vocabulary.mask < 0 else f"the id {vocabulary.mask} of {vocabulary.size} that are known"
        raise WeightsError(
            f"config.task.name=masked_lm needs a tokenizer with a mask token, as BERT's [MASK], that the encoder "
            f"knows; this one has {has}. Set config.model.tokenizer to the folder of one that has."
        )
    if config.whole_words and vocabulary.continues is None:
        raise ConfigError(
            "config.task.whole_words needs a WordPiece tokenizer, whose tokens show whether they go on with a word; "
            "this one is of another kind. Set it to false."
        )

    def prepare(batch: Batch, key: jax.Array, train: bool) -> Batch:
        batch = found.prepare(batch, key, train)
        return {**batch, "inputs": masking.hide(batch["inputs"], key, batch["position"], vocabulary, config)}

    return dataclasses.replace(found, prepare=prepare, augmented=True)


def example(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """One text as `inputs` prepares it, with one hidden token."""
    return {**found, "places": np.zeros((1, 1), np.int32), "weight": np.ones((1, 1), np.float32)}


def weights(config: ConfigDict, labels: np.ndarray, classes: Sequence[str]) -> None:
    """All texts count the same."""
    del config, labels, classes


def loss(said: Said, batch: Batch, config: ConfigDict) -> jax.Array:
    """Cross-entropy in nats: its mean over a text's hidden tokens, and of that the mean over the batch.

    So the loss of a batch is the mean of its parts' (on several devices, in micro-batches), which a mean over all
    hidden tokens is not; that one `sums` gives. They are near each other, for a batch holds texts of like length.
    """
    del config
    return (_nats(said, batch) * said["weight"]).sum(-1).mean()


def metrics(said: Said, batch: Batch) -> dict[str, jax.Array]:
    """What is logged of a training batch besides its loss: means like it."""
    return {"accuracy": (_right(said, batch) * said["weight"]).sum(-1).mean()}


def sums(said: Said, batch: Batch) -> dict[str, jax.Array]:
    """Exact sums over the hidden tokens of the texts where `mask` is set; they add up over batches and devices.

    Returns:
      loss: float32, in nats; correct, tokens, examples: int32, the hidden tokens that were found, all hidden tokens,
      and the texts.
    """
    counts = (said["weight"] > 0) & batch["mask"][:, None]
    found = {"correct": _right(said, batch) & counts, "tokens": counts, "examples": batch["mask"]}
    return {"loss": (_nats(said, batch) * counts).sum()} | {name: x.sum(dtype=jnp.int32) for name, x in found.items()}


def each(said: Said, batch: Batch) -> dict[str, jax.Array]:
    """Nothing is kept of a text."""
    del said, batch
    return {}


def summarize(totals: Totals) -> dict[str, float]:
    """Sums over a part to metrics: loss (nats a hidden token), its exponential, accuracy in [0, 1], and the counts.

    Raises:
      DataError: no text of the part has a token that may be hidden.
    """
    tokens = int(totals["tokens"])
    if not tokens:
        raise DataError("Some text of every part must hold a token that can be hidden; all are special or unknown.")
    mean = float(totals["loss"]) / tokens
    return {
        "loss": mean,
        "perplexity": math.exp(mean) if mean < LARGEST else math.inf,
        "accuracy": int(totals["correct"]) / tokens,
        "tokens": tokens,
        "examples": int(totals["examples"]),
    }


def files(totals: Totals, stem: Path, *, classes: Sequence[str]) -> None:
    """There are none: what is to be said of a part stands in its metrics."""
    del totals, stem, classes


def _hidden(said: Said, batch: Batch) -> jax.Array:
    """The ids that stood at the places before, (B, K)."""
    return jnp.take_along_axis(batch["ids"], said["places"], axis=1)


def _nats(said: Said, batch: Batch) -> jax.Array:
    return optax.softmax_cross_entropy_with_integer_labels(said["logits"], _hidden(said, batch))  # (B, K)


def _right(said: Said, batch: Batch) -> jax.Array:
    return said["logits"].argmax(-1) == _hidden(said, batch)  # (B, K)
