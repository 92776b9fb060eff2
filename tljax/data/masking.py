"""Hidden tokens, as BERT hides them: which places of a text are asked about, and what stands there instead.

Devlin et al. 2018, section 3.1 and appendix A.1: of a text's tokens 15 % are asked about; [MASK] stands for 80 % of
those, any token for 10 %, and 10 % stay as they are. As in the authors' code a text has as many hidden tokens as its
length gives, not a random number; so a head need only look at a few places, whose number is known when XLA compiles.
"""

import dataclasses
from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

MASKED, REPLACED = 0.8, 0.1  # shares of the hidden tokens; the rest stay as they are


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """What a tokenizer says of its tokens."""

    size: int  # ids are 0 to size - 1
    mask: int  # the id that stands for a hidden token; -1 where there is none
    special: tuple[int, ...]  # ids that are no text: [CLS], padding, what stands for unknown words
    continues: tuple[int, ...] | None  # ids that go on with the word before them; None where that does not show


def hide(
    x: Mapping[str, jax.Array], key: jax.Array, position: jax.Array, vocabulary: Vocabulary, config: ConfigDict
) -> dict[str, jax.Array]:
    """Tokens with some of them hidden; every text draws from its own key, and the draw does not depend on padding.

    Args:
      x: {"ids": (B, L) int32, "mask": (B, L) bool, "types"}.
      position: (B,) int32, the texts' own numbers.
      config: the task's own: `mask_share` of the tokens that may be hidden, rounded, at least one, are; with
        `whole_words` words are drawn, and a last one that would be one token too many is left out as a whole.

    Returns:
      `x` with other ids, "places" (B, K) int32 of the hidden tokens, and "weight" (B, K) float32: one over their
      number in the text, 0 at places that were only filled up.
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
    """How many of 0, 1, ... `longest` tokens are hidden, (longest + 1,) int32: `share`, rounded, and at least one."""
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
    """One text: ids and mask (L,) -> ids (L,), places (K,), weight (K,), K being the last of `numbers`."""
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
