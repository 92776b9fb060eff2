"""Mixup and CutMix: every training picture is mixed with its neighbour in the batch, and so are their losses.

Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization"; Yun et al. 2019, "CutMix". Examples 2j and 2j + 1 are
neighbours, and lie on the same device; batches are shuffled, so a neighbour is a random example. Every example has its
own share, a function of the seed, the step and its position.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from tljax.core.errors import ConfigError
from tljax.core.options import NOT_NEGATIVE, Option
from tljax.core.types import Batch, Info

# The options of every task whose pictures may be mixed.
OPTIONS = {
    "mixup": Option(0.0, "Training: alpha of mixup (Zhang et al. 2018: 0.2 to 0.4); 0: none.", NOT_NEGATIVE),
    "cutmix": Option(0.0, "Training: alpha of CutMix (Yun et al. 2019: 1); 0: none; with mixup, either.", NOT_NEGATIVE),
}
NO_POSITION = 2**32 - 1  # `preprocess` folds positions into the same key; no position has this number


def asked(config: ConfigDict) -> bool:
    """Whether a task's config asks for mixed pictures."""
    return any(name in config and config[name] for name in OPTIONS)


def check(config: ConfigDict, devices: int, *, pictures: bool) -> None:
    """Raise ConfigError if the batches of `config` (the whole) cannot be mixed as `config.task` says.

    Args:
      devices: the number of devices that share a batch.
      pictures: whether the network's inputs are pictures.
    """
    if not asked(config.task):
        return
    parts = devices * config.optimizer.accumulate
    if not pictures:
        raise ConfigError(
            f"config.task.mixup and config.task.cutmix mix pictures, but the input of "
            f"config.model.family={config.model.family} is text. Set them to 0."
        )
    if config.train.batch_size % (2 * parts):
        raise ConfigError(
            f"config.task.mixup and config.task.cutmix mix pairs: config.train.batch_size must be a multiple of "
            f"{2 * parts}, twice the {devices} devices times config.optimizer.accumulate "
            f"({config.optimizer.accumulate}); got {config.train.batch_size}."
        )


def check_labels(config: ConfigDict, info: Info) -> None:
    """Raise ConfigError if labels lie in the picture: the rectangle of CutMix would not move them.

    Args:
      config: config.task.
    """
    if info.loaded and "cutmix" in config and config.cutmix:
        raise ConfigError(
            f"config.task.cutmix mixes labels of whole pictures, but the labels of {info.source} are {info.labels}. "
            f"Set it to 0."
        )


def mix(batch: Batch, key: jax.Array, config: ConfigDict) -> Batch:
    """The batch with mixed inputs, "share" (B,) of its own labels and "other": label and weight of the neighbour.

    Args:
      batch: prepared; "inputs" (B, H, W, C), normalised, B even: see `check`.
      config: config.task; the alphas of the Beta distribution, 0: off. With both on, each has probability 1/2.
    """
    if not asked(config):
        return batch
    inputs = batch["inputs"]
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.fold_in(key, NO_POSITION), batch["position"])
    mix_one = functools.partial(_mix, config=config)
    mixed, share = jax.vmap(mix_one)(keys, inputs, _neighbours(inputs))
    other = {name: _neighbours(batch[name]) for name in ("label", "weight") if name in batch}
    return {**batch, "inputs": mixed, "share": share, "other": other}


def loss(losses: Callable[[Batch], jax.Array], batch: Batch) -> jax.Array:
    """The mean of `losses(batch)` (B,) -> (); in a mixed batch, weighted by the shares of both labels."""
    own = losses(batch)
    if "other" in batch:
        others = losses(batch["other"])
        own = batch["share"] * own + (1 - batch["share"]) * others
    return own.mean()


def _neighbours(x: jax.Array) -> jax.Array:
    """(B, ...) with examples 2j and 2j + 1 exchanged."""
    return x.reshape(-1, 2, *x.shape[1:])[:, ::-1].reshape(x.shape)


def _mix(key: jax.Array, image: jax.Array, other: jax.Array, config: ConfigDict) -> tuple[jax.Array, jax.Array]:
    """Two pictures (H, W, C) -> the mixed picture, and the share of the first."""
    for_choice, for_blend, for_cut = jax.random.split(key, 3)
    if not config.cutmix:
        return _blend(for_blend, image, other, config.mixup)
    if not config.mixup:
        return _cut(for_cut, image, other, config.cutmix)
    blend = jax.random.bernoulli(for_choice)
    both = zip(_blend(for_blend, image, other, config.mixup), _cut(for_cut, image, other, config.cutmix), strict=True)
    mixed, share = (jnp.where(blend, one, two) for one, two in both)
    return mixed, share


def _blend(key: jax.Array, image: jax.Array, other: jax.Array, alpha: float) -> tuple[jax.Array, jax.Array]:
    """share x image + (1 - share) x other, share ~ Beta(alpha, alpha) (Zhang et al. 2018, section 2)."""
    share = jax.random.beta(key, alpha, alpha)
    return share * image + (1 - share) * other, share


def _cut(key: jax.Array, image: jax.Array, other: jax.Array, alpha: float) -> tuple[jax.Array, jax.Array]:
    """`image` with a rectangle of `other`: its area is 1 - share of the picture, with share ~ Beta(alpha, alpha).

    The centre is anywhere in the picture. The rectangle is cut at the edges, and the share is computed again from the
    remaining pixels (Yun et al. 2019, equation 2 and their algorithm).
    """
    for_share, for_row, for_column = jax.random.split(key, 3)
    side = jnp.sqrt(1 - jax.random.beta(for_share, alpha, alpha))
    rows = _span(for_row, image.shape[0], side)
    columns = _span(for_column, image.shape[1], side)
    inside = rows[:, None, None] & columns[None, :, None]  # (H, W, 1)
    return jnp.where(inside, other, image), 1 - inside.mean(dtype=jnp.float32)


def _span(key: jax.Array, size: int, side: jax.Array) -> jax.Array:
    """(size,) bool: pixels within half of `side` x size of a random centre."""
    centre = jax.random.uniform(key, maxval=size)
    return jnp.abs(jnp.arange(size) + 0.5 - centre) < side * size / 2
