"""The optimizer of one group as an optax transformation that works in a training step and a checkpoint."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from tljax.core.errors import ConfigError
from tljax.core.types import Tree
from tljax.training.group_settings import Setting
from tljax.training.optimizers import nature as optimizer_nature
from tljax.training.optimizers import trial as optimizer_trial
from tljax.training.optimizers.nature import Key, Nature, is_kernel
from tljax.training.schedules import Kwargs, Rate, Schedule

Build = Callable[[Rate], optax.GradientTransformation]  # a rate -> the optimizer


def make(setting: Setting, rate: Rate) -> optax.GradientTransformation:
    """The optimizer of a group.

    Args:
      rate: a number, or a function of the optimizer's count.

    Raises:
      ConfigError: see `nature.of`; or the optimizer does not support the decay, or a rate that changes.
    """
    nature = optimizer_nature.of(setting)
    decay, mask = setting.weight_decay, None if setting.decay_norms_and_biases else is_kernel
    kwargs = dict(setting.kwargs)
    if nature.takes_decay:  # by the optimizer itself: decoupled in AdamW and Lion
        if decay and mask and not nature.mask:
            raise ConfigError(
                f"The weight decay of '{setting.name}' cannot skip norms and biases: it has no mask. "
                f"Set config.optimizer.decay_norms_and_biases=true, or config.optimizer.weight_decay=0."
            )
        kwargs |= {"weight_decay": decay} | ({nature.mask: mask} if decay and mask else {})
    elif decay and nature.decays:
        raise ConfigError(
            f"The optimizer '{setting.name}' decays by itself and has no argument weight_decay: that of "
            f"config.optimizer ({decay:g}) would be added. Set config.optimizer.weight_decay=0, or give your function "
            f"an argument weight_decay."
        )
    build = functools.partial(_built, setting.name, nature, kwargs)
    takes = callable(rate) and _takes_schedule(Key(setting.name, kwargs), nature)
    transform = _following(setting, nature, build, rate, takes=takes) if callable(rate) else build(rate)
    if nature.takes_decay or not decay:
        return transform
    # Coupled L2, as in torch.optim.SGD: the decay is part of the gradient, and so of the momentum.
    return optax.chain(optax.add_decayed_weights(decay, mask=mask), transform)


def _built(name: str, nature: Nature, kwargs: Kwargs, rate: Rate) -> optax.GradientTransformation:
    tx = optimizer_nature.built(name, rate, kwargs)
    return _with_raw_keys(tx) if nature.has_keys else tx


def _following(setting: Setting, nature: Nature, build: Build, rate: Schedule, *, takes: bool) -> Tree:
    """The optimizer with a rate that changes: a function of its count, or else built again in every step with a number.

    Its count is not the run's step if it does not update in every step (optax.MultiSteps, SAM).
    """
    if takes and (nature.of_optax or optimizer_trial.counts_steps(build)):
        return build(rate)
    try:
        follows, why = optimizer_trial.follows_number(build), "its updates do not depend on the rate of their step"
    except Exception as error:  # of the user's own function
        number = isinstance(error.__cause__ or error, jax.errors.ConcretizationTypeError)
        fault = "it needs a Python number" if number else f"{type(error).__name__}: {str(error).splitlines()[0]}"
        follows, why = False, fault
    if follows:
        return _by_number(build, rate)
    raise ConfigError(
        f"The optimizer '{setting.name}' cannot follow a rate that changes ({why}), but here the rate changes, by "
        f"config.optimizer.schedule={setting.schedule}, a warm-up, or phases with different scales. Set "
        f"config.optimizer.schedule=constant and .warmup=0, and give each group one scale; or name another optimizer."
    )


@functools.lru_cache(maxsize=256)  # every phase and group of a run asks, and tracing an optimizer takes its time
def _takes_schedule(key: Key, nature: Nature) -> bool:
    try:
        tx = _built(key.name, nature, key.kwargs, optax.linear_schedule(1.0, 0.5, 10))
        jax.eval_shape(lambda p: optimizer_trial.step(tx, p, tx.init(p), p), optimizer_trial.TREE)
    except Exception:  # it may still accept numbers
        return False
    return True


class Counted(NamedTuple):
    """The state of an optimizer that gets its rate as a number in every step."""

    count: Tree  # () int32, updates so far
    inner: Tree


def _by_number(build: Build, rate: Schedule) -> optax.GradientTransformationExtraArgs:
    def init(params: Tree) -> Counted:
        count = jnp.zeros([], jnp.int32)
        return Counted(count, build(rate(count)).init(params))

    def update(updates: Tree, state: Tree, params: Tree = None, **more: Any) -> tuple[Tree, Counted]:
        tx = optax.with_extra_args_support(build(rate(state.count)))
        updates, inner = tx.update(updates, state.inner, params, **more)
        return updates, Counted(state.count + 1, inner)

    return optax.GradientTransformationExtraArgs(init, update)


def _with_raw_keys(tx: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
    """`tx` with raw key data in its state instead of typed random keys."""
    inner = optax.with_extra_args_support(tx)

    def raw(state: Tree) -> Tree:
        return jax.tree.map(lambda x: jax.random.key_data(x) if optimizer_nature.is_key(x) else x, state)

    def init(params: Tree) -> Tree:
        return raw(jax.tree.map(jnp.asarray, tx.init(params)))

    def update(updates: Tree, state: Tree, params: Tree = None, **more: Any) -> tuple[Tree, Tree]:
        like = tx.init(params)
        typed = jax.tree.map(
            lambda old, x: jax.random.wrap_key_data(x, impl=jax.random.key_impl(old))
            if isinstance(old, jax.Array) and optimizer_nature.is_key(old) else x,
            like, state,
        )  # fmt: skip
        updates, typed = inner.update(updates, typed, params, **more)
        return updates, raw(typed)

    return optax.GradientTransformationExtraArgs(init, update)
