import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs import default
from tljax.core.errors import ConfigError
from tljax.core.types import Phase
from tljax.training import optimizer, plan_rates
from tljax.training.optimizers import names as optimizer_names

GROUPS = {"low": ("backbone/a/kernel", "backbone/a/bias"), "high": ("backbone/b/kernel",), "head": ("head/kernel",)}
PARAMS = {
    "backbone": {
        "a": {"kernel": np.full((2, 2), -0.0, np.float32), "bias": np.ones(2, np.float32)},
        "b": {"kernel": np.full((2, 3), 2.0, np.float32)},
    },
    "head": {"kernel": np.full((3, 2), 3.0, np.float32)},
}


def config(**changes):
    one = default.get_config().optimizer
    one.update({"lr": 0.1} | {key: value for key, value in changes.items() if key != "kwargs"})
    one.kwargs.update(changes.get("kwargs", {}))
    return one


def one_phase(scales, one, steps=10):
    phases = (Phase("only", 1.0, scales),)
    labels = optimizer.labels(GROUPS, phases[0].learning)
    tx = optimizer.make(one, plan_rates.rates(phases, steps, one)[0], labels)
    learns, rest = optimizer.split(PARAMS, labels)
    return tx, learns, rest


def ones(tree):
    return jax.tree.map(jnp.ones_like, tree)


def test_split_and_merge_are_inverses():
    labels = optimizer.labels(GROUPS, ["head"])
    learns, rest = optimizer.split(PARAMS, labels)
    assert [leaf.shape for leaf in jax.tree.leaves(learns)] == [(3, 2)]
    assert len(jax.tree.leaves(rest)) == 3
    merged = optimizer.merge(learns, rest)
    assert jax.tree.structure(merged) == jax.tree.structure(PARAMS)
    assert all(a is b for a, b in zip(jax.tree.leaves(merged), jax.tree.leaves(PARAMS), strict=True))


def test_every_group_has_its_own_rate():
    tx, learns, rest = one_phase({"low": 0.0, "high": 0.01, "head": 1.0}, config())
    updates, _ = tx.update(ones(learns), tx.init(learns), learns)
    merged = optimizer.merge(updates, rest)
    np.testing.assert_allclose(merged["backbone"]["b"]["kernel"], -0.001, rtol=1e-6)
    np.testing.assert_allclose(merged["head"]["kernel"], -0.1, rtol=1e-6)
    assert merged["backbone"]["a"]["kernel"] is PARAMS["backbone"]["a"]["kernel"]


def test_sgd_decays_as_torch_does():
    """v = 0.9 v + (g + decay p); p = p - lr v: torch.optim.SGD without dampening or Nesterov."""
    one = config(weight_decay=0.5, kwargs={"momentum": 0.9})
    tx, learns, _ = one_phase({"low": 0.0, "high": 0.0, "head": 1.0}, one)
    p, v, state = np.float64(3.0), 0.0, tx.init(learns)
    for _ in range(4):
        updates, state = tx.update(ones(learns), state, learns)
        learns = optax.apply_updates(learns, updates)
        v = 0.9 * v + (1 + 0.5 * p)
        p = p - 0.1 * v
    np.testing.assert_allclose(learns["head"]["kernel"], p, rtol=1e-6)


def test_decoupled_decay_is_the_optimizers_own():
    tx, learns, _ = one_phase({"low": 1.0, "high": 1.0, "head": 1.0}, config(name="adamw", weight_decay=0.5))
    zero = jax.tree.map(jnp.zeros_like, learns)
    updates, _ = tx.update(zero, tx.init(learns), learns)
    np.testing.assert_allclose(updates["head"]["kernel"], -0.1 * 0.5 * 3.0, rtol=1e-6)


@pytest.mark.parametrize("name", ["sgd", "adamw", "lion", "lars", "adadelta"])
def test_norms_and_biases_may_go_without_decay(name):
    one = config(name=name, weight_decay=0.5, decay_norms_and_biases=False)
    tx, learns, _ = one_phase({"low": 1.0, "high": 1.0, "head": 1.0}, one)
    zero = jax.tree.map(jnp.zeros_like, learns)
    updates, _ = tx.update(zero, tx.init(learns), learns)
    assert not np.any(updates["backbone"]["a"]["bias"])
    assert np.all(updates["head"]["kernel"] < 0)


NAMES = [name for name in optimizer_names.names() if name != "optimistic_adam"]  # deprecated by optax itself


@pytest.mark.parametrize("name", NAMES)
def test_every_optimizer_of_optax_by_name(name):
    """A loss that falls: any of them, on a quadratic, with two groups learning and one frozen."""
    finds_its_own = name in ("contrib.dadapt_adamw", "contrib.dog", "contrib.dowg", "contrib.prodigy")
    one = config(name=name, lr=1.0 if finds_its_own else 0.01, kwargs={"key": 0} if name == "noisy_sgd" else {})
    tx, learns, rest = one_phase({"low": 0.0, "high": 0.5, "head": 1.0}, one, steps=30)

    def loss(tree):
        return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(tree))

    state, before = tx.init(learns), loss(learns)

    @jax.jit
    def step(learns, state):
        value, grads = jax.value_and_grad(loss)(learns)
        updates, state = optax.with_extra_args_support(tx).update(grads, state, learns, value=value)
        return optax.apply_updates(learns, updates), state

    for _ in range(30):
        learns, state = step(learns, state)
    assert loss(learns) < before
    merged = optimizer.merge(learns, rest)
    assert merged["backbone"]["a"]["kernel"] is PARAMS["backbone"]["a"]["kernel"]


def signed(learning_rate, *, gain=1.0):
    """An optimizer of a user's own."""
    return optax.chain(
        optax.stateless(lambda updates, _: jax.tree.map(jnp.sign, updates)),
        optax.scale(gain),
        optax.scale_by_learning_rate(learning_rate),
    )


def test_an_optimizer_by_dotted_path_with_its_own_arguments():
    one = config(name="tests.training.test_optimizer:signed", kwargs={"gain": 3.0})
    tx, learns, _ = one_phase({"low": 0.0, "high": 0.0, "head": 1.0}, one)
    updates, _ = tx.update(ones(learns), tx.init(learns), learns)
    np.testing.assert_allclose(updates["head"]["kernel"], -0.3, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "adamv"}, "optimizer of optax .*adamw.*got 'adamv'. Did you mean 'adam"),
        ({"name": "nowhere:sgd"}, "or importable as .*No module named 'nowhere'"),
        ({"name": "sophia"}, "does not fit a training step: its estimate of the Hessian"),
        ({"name": "lbfgs"}, "does not fit a training step: its line search"),
        ({"kwargs": {"weight_decay": 0.1}}, r"must not hold .* weight_decay \(config.optimizer.weight_decay\)"),
        ({"name": "novograd", "weight_decay": 0.1, "decay_norms_and_biases": False}, "it has no mask"),
        ({"kwargs": {"momentun": 0.9}}, "kwargs must fit 'sgd': .*momentun.*\n.*momentum, nesterov"),
    ],
)
def test_an_optimizer_that_does_not_exist_or_fit(changes, message):
    with pytest.raises(ConfigError, match=message):
        one_phase({"low": 0.0, "high": 0.0, "head": 1.0}, config(**changes))


def test_frozen_groups_hold_no_state():
    scales = {"low": 0.0, "high": 1.0, "head": 1.0}
    tx, learns, _ = one_phase(scales, config(name="adamw"))
    stored = optimizer.state_bytes(tx.init(learns))
    counts = 4  # adam's own
    assert stored == {"high": 2 * 6 * 4 + counts, "head": 2 * 6 * 4 + counts}


def test_a_group_that_goes_on_keeps_its_state_and_a_new_one_starts_fresh():
    one = config(name="adamw")
    phases = (
        Phase("head", 0.5, {"low": 0.0, "high": 0.0, "head": 1.0}),
        Phase("more", 1.0, {"low": 0.0, "high": 0.1, "head": 1.0}),
    )
    rates = plan_rates.rates(phases, 10, one)
    first = optimizer.labels(GROUPS, phases[0].learning)
    then = optimizer.labels(GROUPS, phases[1].learning)
    tx = optimizer.make(one, rates[0], first)
    learns, _ = optimizer.split(PARAMS, first)
    state = tx.init(learns)
    for _ in range(5):
        _, state = tx.update(ones(learns), state, learns)
    more, _ = optimizer.split(PARAMS, then)
    new = optimizer.make(one, rates[1], then)
    carried = optimizer.carry(state, new.init(more))
    assert jax.tree.structure(carried) == jax.tree.structure(new.init(more))
    same = jax.tree.map(np.array_equal, carried.inner_states["head"], state.inner_states["head"])
    assert all(jax.tree.leaves(same)) and len(jax.tree.leaves(same)) == 3
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(carried.inner_states["high"]))
    updates, _ = new.update(ones(more), carried, more)
    np.testing.assert_allclose(updates["head"]["kernel"], -0.1, rtol=1e-3)
    np.testing.assert_allclose(updates["backbone"]["b"]["kernel"], -0.01, rtol=1e-3)


def test_the_clip_counts_what_learns_and_nothing_else():
    labels = optimizer.labels(GROUPS, ["head"])
    grads, _ = optimizer.split(jax.tree.map(jnp.ones_like, PARAMS), labels)
    clipped, norm = optimizer.clip(grads, 1.0)
    assert float(norm) == pytest.approx(np.sqrt(6))
    assert float(optax.tree.norm(clipped)) == pytest.approx(1.0)
    assert optimizer.clip(grads, 0.0)[0] is grads


def test_rates_for_people_are_the_rates_of_the_optimizer():
    one = config(schedule="cosine", warmup=0.2)
    phases = (
        Phase("head", 0.5, {"low": 0.0, "high": 0.0, "head": 1.0}),
        Phase("more", 1.0, {"low": 0.1, "high": 0.2, "head": 0.5}),
    )
    table = plan_rates.rates(phases, 20, one)
    for step in range(20):
        shown = plan_rates.rate_at(phases, 20, one, step)
        index, start = (0, 0) if step < 10 else (1, 10)
        used = {g: float(rate(step - (0 if g == "head" else start))) for g, rate in table[index].items()}
        assert {g: rate for g, rate in shown.items() if g in used} == pytest.approx(used, abs=1e-7)
        assert all(rate == 0 for g, rate in shown.items() if g not in used)


def test_phases_must_end_in_order_at_one():
    scales = dict.fromkeys(GROUPS, 1.0)
    with pytest.raises(ConfigError, match=r"got \[0.5, 0.9\]"):
        plan_rates.step_ends((Phase("a", 0.5, scales), Phase("b", 0.9, scales)), 10)
