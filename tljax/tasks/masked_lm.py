"""Masked language modelling: predict masked tokens (Devlin et al. 2018); labels are not read.

It is for domain-adaptive pretraining (Gururangan et al. 2020), that is pretraining on your own texts before the task
itself: train with this task, then start the next run from this run's model/ (`model.weights`).
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

LABEL_KIND = "none"  # labels are not read
BEST_METRIC = "accuracy"  # of the masked tokens
OPTIONS = {
    "mask_share": Option(0.15, "Share of a text's tokens that are masked.", ("in (0, 1)", lambda x: 0 < x < 1)),
    "whole_words": Option(False, "Mask whole words, not tokens; needs a WordPiece tokenizer."),
}
LARGEST = 709.0  # the exponential of a larger number does not fit into a float64
Outputs = dict[str, jax.Array]  # the output of `MaskedNetwork`


def choices(classes: int) -> dict[str, int]:
    """The metrics that `train.best` may name: 1 if larger is better, -1 if smaller is better."""
    del classes
    return {"loss": -1, "accuracy": 1}


def build(
    family: Family, variant: VariantLike, published: Published | None, *, dtype: DTypeLike, bn_axis: str | None
) -> Built:
    """The encoder without a pooler (this task would not train it), and with the published head if there is one.

    Raises:
      ConfigError: the family is not for texts.
      WeightsError: the published head's last layer is not the word embeddings.
    """
    if not isinstance(family, HidesWords):
        raise ConfigError(
            f"config.task.name=masked_lm masks tokens of texts, but the input of config.model.family "
            f"'{plugins.name(family)}' is {family.INPUT}. Choose a text encoder: bert, roberta, distilbert, electra, "
            f"deberta, mpnet."
        )
    unpooled = family.unpooled(variant)
    backbone = family.build(unpooled, dtype=dtype, bn_axis=bn_axis)
    notes = () if unpooled == variant else ("pooler: left out, because masked_lm does not train it; model/ has none",)
    return Built(
        MaskedNetwork(backbone, Head(backbone.variant, dtype=dtype)),
        family.masked_names(unpooled),
        unpooled,
        published_head=published is not None and family.has_masked_head(published.arrays),
        notes=notes,
    )


def inputs(inputs: Inputs, config: ConfigDict) -> Inputs:
    """The texts with masked tokens: random in training; in evaluation fixed by a text's position in its part.

    Args:
      config: config.task.

    Raises:
      ConfigError: `whole_words` is on, but the tokenizer does not show which tokens continue a word.
      WeightsError: the tokenizer has no mask token.
    """
    vocabulary = inputs.vocabulary
    if not 0 <= vocabulary.mask < vocabulary.size:
        has = "none" if vocabulary.mask < 0 else f"the id {vocabulary.mask} of {vocabulary.size} that are known"
        raise WeightsError(
            f"config.task.name=masked_lm needs a tokenizer with a mask token (BERT: [MASK]) that the encoder "
            f"knows; this one has {has}. Set config.model.tokenizer to the folder of one that has a mask token."
        )
    if config.whole_words and vocabulary.continues is None:
        raise ConfigError(
            "config.task.whole_words needs a WordPiece tokenizer, whose tokens show whether they continue a word; "
            "this one is of another kind. Set it to false."
        )

    def prepare(batch: Batch, key: jax.Array, train: bool) -> Batch:
        batch = inputs.prepare(batch, key, train)
        return {**batch, "inputs": masking.hide(batch["inputs"], key, batch["position"], vocabulary, config)}

    return dataclasses.replace(inputs, prepare=prepare, augmented=True)


def example(example: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """One text of the form that `inputs` prepares, with one masked token."""
    return {**example, "places": np.zeros((1, 1), np.int32), "weight": np.ones((1, 1), np.float32)}


def weights(config: ConfigDict, labels: np.ndarray | None, classes: Sequence[str]) -> None:
    """All texts have the same weight."""
    del config, labels, classes


def loss(outputs: Outputs, batch: Batch, config: ConfigDict) -> jax.Array:
    """Cross-entropy in nats: the mean over a text's masked tokens, then the mean over the batch.

    So the loss of a batch is the mean of the losses of its parts (devices, micro-batches). A mean over all masked
    tokens would not be; `totals` gives that one. The two are close, because a batch holds texts of similar length.
    """
    del config
    return (_nats(outputs, batch) * outputs["weight"]).sum(-1).mean()


def metrics(outputs: Outputs, batch: Batch) -> dict[str, jax.Array]:
    """Metrics of a training batch for the log, besides its loss: means of the same kind."""
    return {"accuracy": (_right(outputs, batch) * outputs["weight"]).sum(-1).mean()}


def totals(outputs: Outputs, batch: Batch) -> dict[str, jax.Array]:
    """Exact sums over the masked tokens of the texts where `mask` is True; they are added over batches and devices.

    Returns:
      loss: float32, in nats; correct, tokens, examples: int32, masked tokens predicted rightly, all masked tokens,
      and the texts.
    """
    counts = (outputs["weight"] > 0) & batch["mask"][:, None]
    counted = {"correct": _right(outputs, batch) & counts, "tokens": counts, "examples": batch["mask"]}
    return {"loss": (_nats(outputs, batch) * counts).sum()} | {
        name: x.sum(dtype=jnp.int32) for name, x in counted.items()
    }


def per_example(outputs: Outputs, batch: Batch) -> dict[str, jax.Array]:
    """Nothing is kept of a text."""
    del outputs, batch
    return {}


def summarize(totals: Totals) -> dict[str, float]:
    """Sums over a part to metrics: loss (nats a hidden token), its exponential, accuracy in [0, 1], and the counts.

    Raises:
      DataError: no text of the part has a token that may be masked.
    """
    tokens = int(totals["tokens"])
    if not tokens:
        raise DataError("Some text of every part must hold a token that can be masked; all are special or unknown.")
    mean = float(totals["loss"]) / tokens
    return {
        "loss": mean,
        "perplexity": math.exp(mean) if mean < LARGEST else math.inf,
        "accuracy": int(totals["correct"]) / tokens,
        "tokens": tokens,
        "examples": int(totals["examples"]),
    }


def files(totals: Totals, stem: Path, *, classes: Sequence[str]) -> None:
    """No files: the metrics of a part say all."""
    del totals, stem, classes


def _hidden(outputs: Outputs, batch: Batch) -> jax.Array:
    """The original ids at the masked positions, (B, K)."""
    return jnp.take_along_axis(batch["ids"], outputs["places"], axis=1)


def _nats(outputs: Outputs, batch: Batch) -> jax.Array:
    return optax.softmax_cross_entropy_with_integer_labels(outputs["logits"], _hidden(outputs, batch))  # (B, K)


def _right(outputs: Outputs, batch: Batch) -> jax.Array:
    return outputs["logits"].argmax(-1) == _hidden(outputs, batch)  # (B, K)
