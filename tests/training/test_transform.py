"""What an optimizer takes is found by trying; what cannot be served is refused, and the right thing is blamed."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs import default
from tljax.core.errors import ConfigError
from tljax.training import group_settings
from tljax.training.optimizers import group_decay, transform
from tljax.training.optimizers import names as optimizer_names
from tljax.training.optimizers import nature as optimizer_nature
from tljax.training.optimizers import trial as optimizer_trial

OWN = "tests.training.own_optimizers"
PARAMS = {
    "backbone": {"a": {"kernel": np.full((2, 2), 2.0, np.float32), "bias": np.ones(2, np.float32)}},
    "head": {"kernel": np.full((3, 2), 3.0, np.float32)},
}
PATHS = ("backbone/a/kernel", "backbone/a/bias", "head/kernel")


def setting(name, **changes):
    one = default.get_config().optimizer
    one.update(name=name, lr=0.1, **{key: x for key, x in changes.items() if key != "kwargs"})
    one.kwargs.update(changes.get("kwargs", {}))
    return group_settings.of(one)


def steps(tx, number=3, gradient=1.0):
    """The updates of the head's first element, and the last state."""
    params, tx = PARAMS, optax.with_extra_args_support(tx)
    state, found = jax.jit(tx.init)(params), []
    update = jax.jit(lambda state, params: tx.update(grads, state, params, value=jnp.float32(2.0)))
    grads = jax.tree.map(lambda p: jnp.full_like(p, gradient), params)
    for _ in range(number):
        updates, state = update(state, params)
        params = optax.apply_updates(params, updates)
        found.append(float(updates["head"]["kernel"][0, 0]))
    return found, state


@pytest.mark.parametrize("name", [f"{OWN}:passes_on", f"{OWN}.passes_on", "own_optimizers.py:passes_on", "optax:adamw"])
@pytest.mark.parametrize("everywhere", [True, False])
def test_a_wrapper_decays_bit_for_bit_as_what_it_wraps(name, everywhere):
    name = str(Path(__file__).with_name("own_optimizers.py")) + ":passes_on" if ".py" in name else name
    updates = []
    for one in ("adamw", name):
        tx = transform.make(setting(one, weight_decay=0.5, decay_norms_and_biases=everywhere), 0.1)
        updates.append(tx.update(jax.tree.map(np.ones_like, PARAMS), tx.init(PARAMS), PARAMS)[0])
    same = jax.tree.map(lambda a, b: np.asarray(a).tobytes() == np.asarray(b).tobytes(), *updates)
    assert all(jax.tree.leaves(same))
    assert bool(np.all(updates[1]["backbone"]["a"]["bias"] < -0.14)) == everywhere


DECAYS = {  # (optimizer, decay asked for, norms and biases too) -> what the table says
    ("sgd", 0.5, True): "0.5",
    ("sgd", 0.5, False): "0.5 in 2 of 3",
    ("adamw", 0.0, True): "0",
    ("fromage", 0.0, True): "unknown (built in)",
    ("own:passes_on", 0.5, True): "0.5",
    ("own:passes_on", 0.5, False): "0.5 in 2 of 3",
    ("own:passes_on", 0.0, True): "0",
    ("own:part", 0.5, True): "0.5",
    ("own:swallows", 0.5, True): "0.5",  # as L2, since it does nothing with weight_decay
    ("own:decays_inside", 0.0, True): "0.0001 (built in)",
    ("own:decays_kernels", 0.0, True): "0.1 in 2 of 3 (built in)",
    ("own:decays_before_adam", 0.0, True): "unknown (built in)",
    ("own:noisy", 0.0, True): "0",
    ("own:free_of_schedules", 0.0, True): "0",
    ("own:adversarial", 0.5, True): "0.5",
    ("own:every_fourth", 0.0, True): "0",
}


@pytest.mark.parametrize("case", DECAYS)
def test_the_table_says_what_decays(case):
    name, decay, everywhere = case
    one = setting(name.replace("own", OWN), weight_decay=decay, decay_norms_and_biases=everywhere)
    transform.make(one, 0.1)
    assert group_decay.said(one, PARAMS, PATHS) == DECAYS[case]


def test_what_swallows_weight_decay_is_given_it_in_the_gradient():
    found, _ = steps(transform.make(setting(f"{OWN}:swallows", weight_decay=0.5), 0.1), 1)
    assert found == pytest.approx([-0.1 * (1 + 0.5 * 3)])


def schedule(count):
    return 0.1 * 0.5**count


def test_a_rate_that_changes_is_that_of_the_runs_step_whatever_the_optimizer_counts():
    found, _ = steps(transform.make(setting(f"{OWN}:every_fourth"), schedule), 8)
    assert found == pytest.approx([0, 0, 0, -0.1 / 8, 0, 0, 0, -0.1 / 128])
    found, _ = steps(transform.make(setting(f"{OWN}:by_loss"), schedule), 3)
    assert found == pytest.approx([-0.2, -0.1, -0.05])
    found, _ = steps(transform.make(setting("polyak_sgd"), schedule), 2)  # loss / |g|^2 = 2 / 12, above the limit
    assert found == pytest.approx([-0.1, -0.05])


def test_those_that_need_the_loss_are_given_it():
    kwargs = {"patience": 1, "factor": 0.5}  # halved by every loss that is no lower
    found, _ = steps(transform.make(setting("reduce_on_plateau", kwargs=kwargs), 0.1), 4)
    plain, _ = steps(optax.chain(optax.sgd(0.1), optax.contrib.reduce_on_plateau(**kwargs)), 4)
    assert found == plain and found[-1] == found[0] / 8
    found, _ = steps(transform.make(setting("polyak_sgd"), 1.0), 1)
    assert found == pytest.approx([-2 / 12])
    assert steps(transform.make(setting("momo"), 0.1), 1)[0][0] < 0


def test_random_keys_are_kept_as_data_and_go_on():
    tx = transform.make(setting(f"{OWN}:noisy"), 0.1)
    found, state = steps(tx, 2)
    assert not any(jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) for leaf in jax.tree.leaves(state))
    plain, _ = steps(optax.chain(optax.add_noise(0.01, 0.55, jax.random.key(0)), optax.sgd(0.1)), 2)
    assert found == plain and found[0] != found[1]


REFUSED = {
    "nothing": "must return an optax.GradientTransformation; it returned NoneType",
    "ahead": "must take a tree of parameters and plain gradients.*no attribute 'fast'",
    "growing_state": r"must keep its shapes and types.*float32\[2\], then float32\[4\]",
    "number": "cannot follow a rate that changes .it needs a Python number.*schedule=constant",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_served_is_refused_for_what_it_does(name):
    with pytest.raises(ConfigError, match=REFUSED[name]):
        transform.make(setting(f"{OWN}:{name}"), schedule)


@pytest.mark.parametrize("name", ["rprop"])
def test_a_rate_that_would_change_nothing_is_refused(name):
    with pytest.raises(ConfigError, match="its updates do not depend on the rate of their step"):
        transform.make(setting(name), schedule)


@pytest.mark.parametrize("name", ["fromage", f"{OWN}:decays_inside"])
def test_a_second_decay_is_refused(name):
    with pytest.raises(
        ConfigError, match="decays by itself and has no argument weight_decay: that of config.optimizer .0.5"
    ):
        transform.make(setting(name, weight_decay=0.5), 0.1)


# Their trial takes seconds, and their rule for decay is that of another in the table.
OF_OPTAX = [name for name in optimizer_names.names() if name not in ("contrib.muon", "optimistic_adam")]


@pytest.mark.parametrize("name", OF_OPTAX)
def test_of_optax_the_signature_tells_what_decays(name):
    """So that these need not be tried in every run."""
    one = setting(name, kwargs={"key": 0} if name == "noisy_sgd" else {})
    found = optimizer_trial.decays(
        lambda rate: transform.make(one, rate), {"kernel": np.array([[1.5, -2.0]], np.float32)}
    )
    assert any(found.values()) == optimizer_nature.of(one).decays == (name == "fromage")
