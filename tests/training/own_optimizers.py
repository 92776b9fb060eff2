"""Optimizers and schedules as users write them, for tests: named by this file's path or module."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax


def passes_on(learning_rate, **kwargs):
    return optax.adamw(learning_rate, **kwargs)


part = functools.partial(optax.adamw, b1=0.8)


def swallows(learning_rate, **kwargs):
    del kwargs
    return optax.sgd(learning_rate)


def decays_inside(learning_rate):
    return optax.adamw(learning_rate)


def decays_kernels(learning_rate):
    def mask(params):
        return jax.tree_util.tree_map_with_path(lambda path, _: "kernel" in jax.tree_util.keystr(path), params)

    return optax.adamw(learning_rate, weight_decay=0.1, mask=mask)


def decays_before_adam(learning_rate):
    return optax.chain(optax.add_decayed_weights(0.1), optax.adam(learning_rate))


def noisy(learning_rate):
    return optax.chain(optax.add_noise(0.01, 0.55, jax.random.key(0)), optax.sgd(learning_rate))


def slower_on_plateau(learning_rate):
    return optax.chain(optax.sgd(learning_rate), optax.contrib.reduce_on_plateau(patience=2))


def every_fourth(learning_rate):
    return optax.MultiSteps(optax.sgd(learning_rate), every_k_schedule=4)


def adversarial(learning_rate):
    ascent = optax.chain(optax.contrib.normalize(), optax.sgd(0.05))
    return optax.contrib.sam(optax.sgd(learning_rate), ascent, sync_period=2)


def free_of_schedules(learning_rate):
    return optax.contrib.schedule_free_sgd(learning_rate)


def ahead(learning_rate):
    return optax.lookahead(optax.sgd(learning_rate), sync_period=5, slow_step_size=0.5)


def number(learning_rate):
    return optax.sgd(float(learning_rate))


def by_loss(learning_rate):
    def update(updates, state, params=None, *, value, **_):
        return jax.tree.map(lambda g: -learning_rate * value * g, updates), state

    return optax.GradientTransformationExtraArgs(lambda _: optax.EmptyState(), update)


class Odd(NamedTuple):
    """Leaves that would share a name, an empty one, and a Python number."""

    count: Any
    seen: dict


def odd_state(learning_rate):
    def init(params):
        del params
        return Odd(0, {"a.b": jnp.zeros(3), "a": {"b": jnp.ones(3)}, "none": jnp.zeros((0, 2))})

    def update(updates, state, params=None):
        rate = learning_rate(state.count) if callable(learning_rate) else learning_rate
        seen = {"a.b": state.seen["a.b"] + 1, "a": {"b": state.seen["a"]["b"] * 2}, "none": state.seen["none"]}
        return jax.tree.map(lambda g: -rate * g, updates), Odd(state.count + 1, seen)

    return optax.GradientTransformation(init, update)


def growing_state(learning_rate):
    def update(updates, state, params=None):
        return jax.tree.map(lambda g: -learning_rate * g, updates), jnp.concatenate([state, state])

    return optax.GradientTransformation(lambda _: jnp.zeros(2), update)


def nothing(learning_rate):
    del learning_rate


def with_if(steps):
    return lambda step: 1.0 if step < steps / 2 else 0.1


def rate_of_its_own(steps):
    return optax.cosine_decay_schedule(steps, 10)  # as when the steps are taken for the first rate
