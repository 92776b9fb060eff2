"""What a strategy does besides its plan; most do nothing."""

import dataclasses
from types import SimpleNamespace

import jax
import numpy as np

from tests.training.test_train_step import FROZEN, make_batch, make_job
from tljax.core import plugins
from tljax.core.experiment import Experiment
from tljax.transfer.method import PLAIN, Method

PARAMS = {"backbone": {"stem": {"kernel": np.ones((2, 2), np.float32)}}, "head": {"kernel": np.ones(2, np.float32)}}


def experiment(**fields):
    """An experiment of which only these fields are asked for."""
    blank = dict.fromkeys(field.name for field in dataclasses.fields(Experiment))
    network = SimpleNamespace(backbone=SimpleNamespace(stages=("stem",)))
    return Experiment(**blank | {"network": network} | fields)


def test_a_strategy_that_defines_nothing_changes_nothing():
    made = experiment(variables={"params": PARAMS}, groups={"all": ()})
    for method in (PLAIN, Method.of(plugins.find("strategies", "full"), None)):
        assert method.initialize(made, seed=0) is made
        assert method.effective(PARAMS, jax.random.key(0)) is PARAMS
        assert method.penalty(PARAMS) == {} and method.changes is None


def test_a_strategys_functions_are_given_its_config():
    method = Method(
        config="mine",
        initializes=lambda params, groups, config, *, stages, seed: (
            {**params, config: seed},
            {**groups, config: stages},
        ),
        changes=lambda params, config, rng=None: (params, config, rng),
        penalizes=lambda params, config: (params, config),
    )
    begun = method.initialize(experiment(variables={"params": {}, "batch_stats": "s"}, groups={}), seed=7)
    assert begun.variables == {"params": {"mine": 7}, "batch_stats": "s"} and begun.groups == {"mine": ("stem",)}
    assert method.effective(PARAMS, 1) == (PARAMS, "mine", 1) and method.effective(PARAMS) == (PARAMS, "mine", None)
    assert method.penalty(PARAMS) == {"penalty": (PARAMS, "mine")} and method.changes is not None


PROBE = {"stem": 0.0, "stage1": 0.0, "stage2": 0.0, "head": 1.0}


def on_the_head(factor):
    """A method that multiplies the head by `factor(rng)` and adds its mean square to the loss."""

    def effective(params, config, rng=None):
        return {**params, "head": jax.tree.map(lambda x: factor(rng) * x, params["head"])}

    return Method(changes=effective, penalizes=lambda params, _: (params["head"]["kernel"] ** 2).mean())


def test_the_step_learns_through_what_the_network_is_given():
    """Against a plain step on a head twice as large, whose gradient is half as large."""
    plain, start = make_job(PROBE)
    job, batch = dataclasses.replace(plain, method=on_the_head(lambda _: 2)), make_batch()
    state, metrics = jax.jit(job.step(0))(start, batch)
    doubled = start.replace(params={**start.params, "head": jax.tree.map(lambda x: 2 * x, start.params["head"])})
    expected, plain_metrics = jax.jit(plain.step(0))(doubled, batch)
    kernel, bias = (start.params["head"][name] for name in ("kernel", "bias"))
    np.testing.assert_allclose(metrics["penalty"], (kernel**2).mean(), rtol=1e-6)
    np.testing.assert_allclose(metrics["loss"], plain_metrics["loss"] + metrics["penalty"], rtol=1e-6)
    moved = expected.params["head"]["bias"] - 2 * bias
    np.testing.assert_allclose(state.params["head"]["bias"] - bias, 2 * moved, rtol=1e-5, atol=1e-7)


def test_every_step_draws_anew():
    plain, state = make_job(PROBE)
    job = dataclasses.replace(plain, method=on_the_head(jax.random.uniform))
    step = jax.jit(job.step(0))
    losses = [float(step(state.replace(step=np.int32(at)), make_batch())[1]["loss"]) for at in (0, 0, 1)]
    assert losses[0] == losses[1]
    assert abs(losses[0] - losses[2]) > 1e-3


def test_variables_are_what_the_network_is_given_in_evaluation():
    job, state = make_job(FROZEN)
    assert job.variables(state) == state.variables()
    method = Method(changes=lambda params, config, rng=None: {"head": params["head"], "rng": rng})
    merged = dataclasses.replace(job, method=method).variables(state)
    assert merged == {"params": {"head": state.params["head"], "rng": None}, **state.model_state}
