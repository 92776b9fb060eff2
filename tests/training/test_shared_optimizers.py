"""Optimizers and schedules of researchers, of the shared cases: each is served, or refused for the right reason."""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs import default
from tests.conftest import SHARED
from tljax.core.errors import ConfigError
from tljax.training import group_settings, optimizer, schedules
from tljax.training.optimizers import transform

FILE = SHARED / "cases/optimizers.py"
SERVED = (
    "hyper", "kw_adamw", "fixed_adamw", "noisy", "plateau", "polyak", "multi", "finite", "ema_wrapped", "sam", "mech",
    "own_state", "empty_state", "pyfloat", "schedule_free", "clip_chain", "extra_args", "by_path",
)  # fmt: skip
SCHEDULES = ("linear", "one_cycle")
REFUSED = {
    "noisy_old": "tried on a small tree it fails: TypeError: key accepts a scalar seed",
    "look": "must take a tree of parameters and plain gradients",
    "returns_none": r"must return an optax\.GradientTransformation; it returned NoneType",
    "python_if": "must be written so that jax can compile it",
}


def settings(name, **changes):
    key = "schedule" if name in (*SCHEDULES, "python_if") else "name"
    config = default.get_config().optimizer
    config.update({key: f"{FILE}:{name}", "lr": 0.05, **changes})
    return config


@pytest.mark.parametrize("name", [*SERVED, *SCHEDULES])
def test_what_is_served(shared, name):
    """It passes the check of a run, and a step with it gives finite updates."""
    config, params = settings(name), {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}
    optimizer.check(config)
    rate = schedules.make(config.schedule, 10) if name in SCHEDULES else 0.05
    tx = optax.with_extra_args_support(transform.make(group_settings.of(config, None), rate))
    known = {"value": jnp.float32(0.5), "value_fn": lambda _: 0.5, "grad": params, "grad_fn": lambda params, _: params}
    updates, _ = tx.update(params, tx.init(params), params, **known)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(updates))
    assert jax.tree.structure(updates) == jax.tree.structure(params)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_blamed_for_the_right_thing(shared, name):
    with pytest.raises(ConfigError, match=REFUSED[name]):
        schedules.check(f"{FILE}:{name}", 10) if name == "python_if" else optimizer.check(settings(name))


def test_decay_that_is_passed_on_is_adamws(shared):
    params = {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}
    found = []
    for name in (f"{FILE}:kw_adamw", "adamw"):
        config = settings("kw_adamw", weight_decay=0.5)
        config.name = name
        one = transform.make(group_settings.of(config, None), 0.05)
        updates, _ = one.update(jax.tree.map(jnp.zeros_like, params), one.init(params), params)
        found.append(updates)
    assert all(np.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, found), strict=True))
    assert np.asarray(found[0]["kernel"])[0, 0] == pytest.approx(-0.025)


def test_none_is_left_out(shared):
    spec = importlib.util.spec_from_file_location("shared_optimizers", FILE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    own = {name for name, one in vars(module).items() if getattr(one, "__module__", "") == "shared_optimizers"}
    assert own - {"S"} == {*SERVED, *SCHEDULES, *REFUSED}
