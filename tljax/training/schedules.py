"""Learning-rate schedules by name or dotted path: step of the run -> factor on the learning rate."""

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax

from tljax.core import functions
from tljax.core.errors import ConfigError
from tljax.core.types import Tree

Kwargs = Mapping[str, Any]  # of an optimizer or a schedule, as the config has them
Schedule = Callable[[Any], Any]  # step, a number or a traced int32, -> factor
Rate = Schedule | float  # over the updates of an optimizer


def constant(steps: int) -> Schedule:
    """1 at every step."""
    del steps
    return optax.constant_schedule(1.0)


def cosine(steps: int, *, end: float = 0.0) -> Schedule:
    """Half a cosine from 1 to `end` (Loshchilov & Hutter 2017, SGDR, equation 5 without restarts)."""
    return optax.cosine_decay_schedule(1.0, max(steps, 1), alpha=end)


def linear(steps: int, *, end: float = 0.0) -> Schedule:
    """A straight line from 1 to `end`."""
    return optax.linear_schedule(1.0, end, max(steps, 1))


def step(steps: int, *, at: tuple[float, ...] = (0.5, 0.75), factor: float = 0.1) -> Schedule:
    """Multiplied by `factor` at every share in `at` of the run after warm-up."""
    if not all(0 < share < 1 for share in at):
        raise ValueError(f"at must be shares between 0 and 1, got {at}")
    falls = [int(share * steps) for share in at]  # two may be the same step
    return optax.piecewise_constant_schedule(1.0, {fall: factor ** falls.count(fall) for fall in falls})


def exponential(steps: int, *, end: float = 0.01) -> Schedule:
    """From 1 to `end` at the last step, multiplied by the same factor at every step."""
    rate = math.log(end) / max(steps - 1, 1)
    return lambda step: jnp.exp(rate * step)


PROBED = 101  # steps of the run that `check` evaluates
PEAK = (0.5, 2.0)  # range of the largest factor of a run; with warm-up and decay it is 1
NAMES = {"constant": constant, "cosine": cosine, "exponential": exponential, "linear": linear, "step": step}

# optax's schedules do not have the number of steps as their first argument: the keyword arguments for the number of
# steps and for a peak of 1, for each.
OPTAX: dict[Callable[..., Tree], tuple[str, Kwargs]] = {
    optax.constant_schedule: ("", {"value": 1.0}),
    optax.cosine_decay_schedule: ("decay_steps", {"init_value": 1.0}),
    optax.cosine_onecycle_schedule: ("transition_steps", {"peak_value": 1.0}),
    optax.exponential_decay: ("transition_steps", {"init_value": 1.0}),
    optax.linear_onecycle_schedule: ("transition_steps", {"peak_value": 1.0}),
    optax.linear_schedule: ("transition_steps", {"init_value": 1.0, "end_value": 0.0}),
    optax.piecewise_constant_schedule: ("", {"init_value": 1.0}),
    optax.piecewise_interpolate_schedule: ("", {"init_value": 1.0}),
    optax.polynomial_schedule: ("transition_steps", {"init_value": 1.0, "end_value": 0.0}),
    optax.warmup_constant_schedule: ("", {"init_value": 0.0, "peak_value": 1.0}),
    optax.warmup_cosine_decay_schedule: ("decay_steps", {"init_value": 0.0, "peak_value": 1.0}),
    optax.warmup_exponential_decay_schedule: ("transition_steps", {"init_value": 0.0, "peak_value": 1.0}),
}
UNFIT = (optax.join_schedules, optax.sgdr_schedule)


def make(name: str, steps: int, *, warmup: float = 0.0, kwargs: Kwargs | None = None) -> Schedule:
    """The schedule `name` over `steps` steps.

    Args:
      name: one of NAMES; or a function (`functions.find`), called with (steps, **kwargs); or one of optax, such as
        "optax.polynomial_schedule", which gets its number of steps and a peak of 1, unless `kwargs` set them.
      warmup: share of all steps in which the factor first rises linearly from 0.

    Raises:
      ConfigError: there is no such schedule, or it does not accept these keyword arguments.
    """
    function = _function(name)
    warm = int(warmup * steps)
    keywords = dict(kwargs or {})
    try:
        schedule = _called(function, steps - warm, keywords)
    except Exception as error:  # a function of the user's own may raise anything
        raise ConfigError(
            f"config.optimizer.schedule_kwargs must fit '{name}': {error}.\n"
            f"  It was called for {steps - warm} steps with {keywords or 'no keyword arguments'}."
        ) from error
    if not callable(schedule):
        raise ConfigError(
            f"config.optimizer.schedule '{name}' must be a function (steps, **kwargs) that returns a function of the "
            f"step; it returned {schedule!r}."
        )
    if not warm:
        return schedule
    return optax.join_schedules([optax.linear_schedule(0.0, 1.0, warm), cast(Schedule, schedule)], [warm])


def look_up(name: str, *, warmup: float = 0.0, kwargs: Kwargs | None = None, any_factor: bool) -> None:
    """Check a schedule before the number of steps is known: `check`; for a function, only that it exists."""
    if name in NAMES:
        check(name, warmup=warmup, kwargs=kwargs, any_factor=any_factor)
    else:
        _function(name)


def check(
    name: str,
    steps: int = PROBED,
    *,
    warmup: float = 0.0,
    kwargs: Kwargs | None = None,
    any_factor: bool = False,
) -> None:
    """Look up a schedule and check its factors over a run of `steps` steps, or of PROBED if that is more.

    Args:
      any_factor: whether its largest factor may lie outside of PEAK, for a schedule that returns rates.

    Raises:
      ConfigError: see `make`; or it cannot be compiled, a factor is negative or not finite, or none is near 1.
    """
    steps = max(steps, PROBED)
    schedule = make(name, steps, warmup=warmup, kwargs=kwargs)
    probed = np.unique(np.r_[np.linspace(0, steps - 1, PROBED).astype(np.int32), min(int(warmup * steps), steps - 1)])
    try:
        factors = np.asarray(jax.jit(lambda steps: jax.lax.map(schedule, steps))(probed), np.float64)
    except jax.errors.ConcretizationTypeError as error:
        raise ConfigError(
            f"config.optimizer.schedule '{name}' must be written so that jax can compile it: a Python `if`, `min` or "
            f"`int` on the step cannot. Write jnp.where(step < n, a, b), jnp.minimum, jnp.floor."
        ) from error
    except Exception as error:
        raise ConfigError(f"config.optimizer.schedule_kwargs must fit '{name}': {error}.") from error
    if factors.shape != probed.shape:
        raise ConfigError(
            f"config.optimizer.schedule '{name}' must give one number per step; it gives shape {factors.shape[1:]}."
        )
    bad = factors[~((factors >= 0) & (factors < math.inf))]
    if bad.size:
        raise ConfigError(
            f"The factors of config.optimizer.schedule '{name}' must be finite numbers >= 0; over a run of {steps} "
            f"steps {bad[0]:g} is among them. Change config.optimizer.schedule_kwargs ({dict(kwargs or {})})."
        )
    if not any_factor and not PEAK[0] <= factors.max() <= PEAK[1]:
        raise ConfigError(
            f"config.optimizer.schedule '{name}' gives factors on config.optimizer.lr, and the largest of a run must "
            f"lie in {PEAK[0]:g} to {PEAK[1]:g}; over {steps} steps it is {factors.max():.4g}. A function of your own "
            f"is called with (steps, **kwargs). If this is intended, set config.optimizer.any_factor=true."
        )


def in_phases(schedule: Schedule, scales: tuple[float, ...], ends: tuple[int, ...], start: int) -> Schedule:
    """A group's own factor: the run's schedule times its scale in the phase that the step is in.

    Args:
      scales: the group's scale in every phase.
      ends: the step at which each phase ends.
      start: the run's step at which the group's optimizer began to count.
    """

    def factor(count: jax.Array) -> jax.Array:
        now = count + start
        phase = jnp.searchsorted(jnp.array(ends[:-1], jnp.int32), now, side="right")
        return schedule(now) * jnp.array(scales, jnp.float32)[phase]

    return factor


def _function(name: str) -> Callable[..., Tree]:
    if name in NAMES:
        return NAMES[name]
    function = functions.find(name, f"a schedule ({', '.join(NAMES)})")
    if function in UNFIT:
        raise ConfigError(
            f"config.optimizer.schedule '{name}' does not work: its arguments are schedules, not a number of steps. "
            f"Write a function (steps, **kwargs) that returns it, and name your function."
        )
    return function


def _called(function: Callable[..., Tree], steps: int, kwargs: Kwargs) -> Tree:
    if function not in OPTAX:
        return function(steps, **kwargs)
    key, others = OPTAX[function]
    return function(**({key: max(steps, 1)} if key else {}) | dict(others) | dict(kwargs))
