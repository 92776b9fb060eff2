import inspect
import math
from pathlib import Path

import jax
import numpy as np
import optax
import pytest

from tljax.core.errors import ConfigError
from tljax.training import schedules

OWN = "tests.training.own_optimizers"


def halving(steps, *, floor=0.0):
    """A schedule of a user's own."""
    return lambda step: 0.5 ** (step / steps) + floor


@pytest.mark.parametrize(
    ("name", "kwargs", "warmup", "expected"),
    [
        ("constant", {}, 0.0, {0: 1.0, 50: 1.0, 99: 1.0}),
        ("cosine", {}, 0.0, {0: 1.0, 25: (1 + math.cos(math.pi / 4)) / 2, 50: 0.5, 100: 0.0}),
        ("cosine", {"end": 0.2}, 0.0, {0: 1.0, 50: 0.6, 100: 0.2}),
        ("cosine", {}, 0.2, {0: 0.0, 10: 0.5, 20: 1.0, 60: 0.5, 100: 0.0}),
        ("exponential", {"end": 1e-4}, 0.0, {0: 1.0, 33: 10 ** (-4 / 3), 99: 1e-4}),
        ("linear", {"end": 0.5}, 0.0, {0: 1.0, 50: 0.75, 100: 0.5}),
        ("optax:cosine_decay_schedule", {}, 0.0, {0: 1.0, 50: 0.5, 100: 0.0}),
        ("optax.polynomial_schedule", {"power": 2}, 0.0, {0: 1.0, 50: 0.25, 100: 0.0}),
        ("optax.warmup_cosine_decay_schedule", {"warmup_steps": 20}, 0.0, {0: 0.0, 20: 1.0, 60: 0.5, 100: 0.0}),
        ("optax:exponential_decay", {"decay_rate": 0.01}, 0.2, {10: 0.5, 20: 1.0, 60: 0.1, 100: 0.01}),
        ("step", {}, 0.0, {0: 1.0, 49: 1.0, 51: 0.1, 76: 0.01}),
        ("step", {"at": (0.3,), "factor": 0.5}, 0.0, {29: 1.0, 31: 0.5}),
        ("tests.training.test_schedules:halving", {"floor": 1.0}, 0.0, {0: 2.0, 100: 1.5}),
    ],
)
def test_factor(name, kwargs, warmup, expected):
    schedule = schedules.make(name, 100, warmup=warmup, kwargs=kwargs)
    assert {step: float(schedule(step)) for step in expected} == pytest.approx(expected, abs=1e-6)


def test_any_schedule_of_optax_has_a_largest_factor_of_one():
    names = [name for name in vars(optax.schedules) if name.endswith(("_schedule", "exponential_decay"))]
    names = [name for name in names if not name.startswith(("_", "inject", "piecewise", "sgdr"))]
    assert len(names) >= 10
    kwargs = {"warmup_steps": 10, "decay_rate": 0.1, "power": 1.0}
    for name in names:
        own = {key: x for key, x in kwargs.items() if key in inspect.signature(getattr(optax, name)).parameters}
        own.pop("power", None) if "cosine" in name else None
        schedules.check(f"optax.{name}", 300, kwargs=own)
        assert max(float(schedules.make(f"optax.{name}", 300, kwargs=own)(i)) for i in range(300)) == pytest.approx(1)


def test_a_function_of_a_file():
    file = Path(__file__).with_name("own_optimizers.py")
    assert schedules.make(f"{file}:rate_of_its_own", 42)(0) == 42
    with pytest.raises(ConfigError, match="it names no function of .*Its functions are passes_on, .*rate_of_its_own"):
        schedules.make(f"{file}:warm", 42)


def test_a_group_follows_the_run_through_phases():
    schedule = schedules.make("cosine", 100)
    # The group begins to learn at step 20 and changes its scale at step 60.
    factor = schedules.in_phases(schedule, (0.0, 0.5, 2.0), (20, 60, 100), start=20)
    for count, scale in [(0, 0.5), (39, 0.5), (40, 2.0), (79, 2.0)]:
        assert float(factor(count)) == pytest.approx(scale * float(schedule(count + 20)), abs=1e-6)
    assert float(jax.jit(factor)(np.int32(40))) == pytest.approx(2 * float(schedule(60)), abs=1e-6)


@pytest.mark.parametrize(
    ("name", "kwargs", "message"),
    [
        ("cosinus", {}, r"must be a schedule \(constant, cosine, exponential, linear, step\), or a function by"),
        ("nowhere.to:go", {}, "or importable as .*No module named 'nowhere'"),
        ("math:nothing", {}, "must be importable"),
        ("cosine", {"ends": 1.0}, "schedule_kwargs must fit 'cosine': .*ends"),
        ("math:pi", {}, "'math:pi' must be a schedule .*, and so a function; it is a float"),
        ("exponential", {"end": 0.0}, "schedule_kwargs must fit 'exponential': math domain error"),
        ("step", {"at": ("a",)}, "schedule_kwargs must fit 'step': "),
        ("step", {"at": (-0.5, 2)}, "schedule_kwargs must fit 'step': at must be shares between 0 and 1"),
        ("step", {"factor": -1.0}, "schedule_kwargs must fit 'step': "),
    ],
)
def test_a_schedule_that_does_not_exist_or_fit(name, kwargs, message):
    with pytest.raises(ConfigError, match=message):
        schedules.make(name, 100, kwargs=kwargs)


@pytest.mark.parametrize(
    ("name", "kwargs", "message"),
    [
        ("cosine", {"end": -1.0}, "'cosine' must be finite numbers >= 0; over a run of 101 steps -.* is among them"),
        ("cosine", {"end": math.nan}, "finite numbers >= 0; .* nan is among them"),
        ("cosine", {"end": "abc"}, "schedule_kwargs must fit 'cosine'"),
        (
            "cosine",
            {"end": 5.0},
            "the largest of a run must lie in 0.5 to 2; over 101 steps it is 4.999.*any_factor=true",
        ),
        (f"{OWN}:rate_of_its_own", {}, "the largest of a run must lie in 0.5 to 2; over 101 steps it is 101"),
        (f"{OWN}:with_if", {}, "schedule '.*:with_if' must be written so that jax can compile it"),
        (f"{OWN}:nothing", {}, "must be a function .* that returns a function of the step; it returned None"),
        ("optax:sgdr_schedule", {}, "does not work: its arguments are schedules"),
        ("tests.training.test_schedules:halving", {"floor": -0.6}, "finite numbers >= 0"),
        ("tests.training.test_schedules:halving", {"floor": math.inf}, "finite numbers >= 0"),
    ],
)
def test_factors_that_no_run_can_have(name, kwargs, message):
    with pytest.raises(ConfigError, match=message):
        schedules.check(name, kwargs=kwargs)


def test_a_factor_that_is_meant():
    name = f"{OWN}:rate_of_its_own"
    schedules.check(name, any_factor=True)
    assert max(float(schedules.make(name, 101)(step)) for step in range(101)) == 101


@pytest.mark.parametrize("name", schedules.NAMES)
def test_factors_of_our_own_are_fine(name):
    schedules.check(name, warmup=0.3)
    factors = [float(schedules.make(name, 100, warmup=0.3)(step)) for step in range(100)]
    assert min(factors) == factors[0] == 0 and max(factors) == factors[30] == 1


def test_falls_that_meet_in_one_step_all_count():
    schedule = schedules.make("step", 100, kwargs={"at": (0.501, 0.504, 0.75), "factor": 0.5})
    assert [float(schedule(step)) for step in (49, 52, 77)] == [1.0, 0.25, 0.125]
