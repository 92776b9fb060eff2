"""BERT's masking of tokens: which positions of a text must be predicted, and which token replaces them.

Devlin et al. 2018, section 3.1 and appendix A.1: 15 % of a text's tokens must be predicted. Of these, 80 % are replaced
by [MASK], 10 % by a random token, and 10 % stay. As in the authors' code, the number of masked tokens depends only on
the text's length and is not random, so the head gets a fixed number of positions, known when XLA compiles.
"""

import dataclasses
from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

MASKED, REPLACED = 0.8, 0.1  # shares of the masked tokens; the rest stay


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """The facts about a tokenizer's tokens that masking needs."""

    size: int  # ids are 0 to size - 1
    mask: int  # the id of [MASK]; -1 if there is none
    special: tuple[int, ...]  # ids that are not text: [CLS], padding, the token of unknown words
    continues: tuple[int, ...] | None  # ids that continue the word before them; None if the tokenizer does not show it


def hide(
    x: Mapping[str, jax.Array], key: jax.Array, position: jax.Array, vocabulary: Vocabulary, config: ConfigDict
) -> dict[str, jax.Array]:
    """Mask some of the tokens. Every text has its own random key, and its masked positions do not depend on padding.

    Args:
      x: {"ids": (B, L) int32, "mask": (B, L) bool, "types"}.
      position: (B,) int32, the texts' own numbers.
      config: config.task. `mask_share` of the tokens that may be masked are masked, rounded, at least one. With
        `whole_words`, whole words are drawn; a last word with too many tokens is left out.

    Returns:
      `x` with the new ids, "places" (B, K) int32 of the masked tokens, and "weight" (B, K) float32: 1 / the number of
      masked tokens in the text, and 0 at padding of "places".
    """
    known = np.arange(vocabulary.size)
    special = jnp.asarray(np.isin(known, vocabulary.special))
    starts = ~np.isin(known, vocabulary.continues) if config.whole_words and vocabulary.continues else None
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, position)
    one = partial(
        _hide,
        numbers=numbers(x["ids"].shape[1], config.mask_share),
        special=special,
        starts=None if starts is None else jnp.asarray(starts),
        vocabulary=vocabulary,
    )
    ids, places, weight = jax.vmap(one)(keys, x["ids"], x["mask"])
    return {**x, "ids": ids, "places": places, "weight": weight}


def numbers(longest: int, share: float) -> np.ndarray:
    """The number of masked tokens for texts of 0, 1, ... `longest` tokens, (longest + 1,) int32: `share`, rounded, at
    least one.
    """
    tokens = np.arange(longest + 1)
    return np.maximum(np.round(share * tokens), tokens > 0).astype(np.int32)


def _hide(
    key: jax.Array,
    ids: jax.Array,
    mask: jax.Array,
    *,
    numbers: np.ndarray,
    special: jax.Array,
    starts: jax.Array | None,
    vocabulary: Vocabulary,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """One text: ids and mask (L,) -> ids (L,), places (K,), weight (K,), where K is the last of `numbers`."""
    for_places, for_kind, for_token = jax.random.split(key, 3)
    words = jnp.arange(len(ids)) if starts is None else jnp.cumsum(starts[ids]) - 1
    may = mask & ~special[ids]
    order = jnp.argsort(jnp.where(may, -jax.random.uniform(for_places, ids.shape)[words], 1.0))  # words stay together
    number, rank = jnp.asarray(numbers)[may.sum()], jnp.arange(numbers[-1])
    places, chosen = order[: numbers[-1]].astype(jnp.int32), rank < number
    if starts is not None:
        last, after = words[order[number - 1]], order[jnp.minimum(number, len(ids) - 1)]
        chosen &= ~((words[places] == last) & may[after] & (words[after] == last))
    kind, before = jax.random.uniform(for_kind, rank.shape), ids[places]
    other = jax.random.randint(for_token, rank.shape, 0, vocabulary.size)
    stands = jnp.where(kind < MASKED, vocabulary.mask, jnp.where(kind < MASKED + REPLACED, other, before))
    ids = ids.at[places].set(jnp.where(chosen, stands, before))
    return ids, places, chosen / jnp.maximum(chosen.sum(), 1).astype(jnp.float32)
