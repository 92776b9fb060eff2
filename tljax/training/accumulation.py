"""Gradient accumulation: the gradient of a batch from its micro-batches, one after another, to save memory.

If a loss is a mean over examples, the mean of the micro-batches' gradients is the gradient of the batch. If it is a
mean over parts of examples (the masked tokens of a text), it is not exactly: every micro-batch has the same weight.
BatchNorm runs on the statistics of the micro-batch, and every micro-batch updates the stored statistics, as in a loop
over small batches that accumulates.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from tljax.core.types import Batch, Tree

# (model_state, micro-batch, its number or None for the whole batch) -> (gradients, model_state, metrics)
Gradients = Callable[[Tree, Batch, jax.Array | None], tuple[Tree, Tree, dict[str, jax.Array]]]


def accumulated(gradients: Gradients, model_state: Tree, batch: Batch, count: int) -> tuple[Tree, Tree, Tree]:
    """The result of `gradients` for the whole batch, from `count` micro-batches; gradients and metrics are means."""
    if count == 1:
        return gradients(model_state, batch, None)

    def one(carry: tuple[Tree, Tree], part: tuple[Batch, jax.Array]) -> tuple[tuple[Tree, Tree], Tree]:
        sums, model_state = carry
        grads, model_state, metrics = gradients(model_state, *part)
        return (jax.tree.map(jnp.add, sums, grads), model_state), metrics

    parts = (jax.tree.map(lambda x: split(x, count), batch), jnp.arange(count))
    shapes, _, _ = jax.eval_shape(gradients, model_state, *jax.tree.map(lambda x: x[0], parts))
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    (sums, model_state), metrics = lax.scan(one, (zeros, model_state), parts)
    return jax.tree.map(lambda x: x / count, sums), model_state, jax.tree.map(lambda x: x.mean(0), metrics)


def split(x: jax.Array, count: int) -> jax.Array:
    """(B, ...) -> (count, B / count, ...). Each part takes examples from all over the batch, so that every device has
    its share of each part.

    If a part has an even number of examples, examples 2j and 2j + 1, which mixup mixes, stay together.
    """
    together = 2 if len(x) // count % 2 == 0 else 1
    parts = x.reshape(-1, count, together, *x.shape[1:])  # (B / (count * together), count, together, ...)
    return jnp.moveaxis(parts, 1, 0).reshape(count, -1, *x.shape[1:])
