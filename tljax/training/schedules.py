"""Learning-rate schedules by name or dotted path: step of the run -> factor on the learning rate."""

import importlib
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from tljax.core.errors import ConfigError

Schedule = Callable[[Any], Any]  # step, a number or a traced int32, -> factor


def constant(steps: int) -> Schedule:
    """1 at every step."""
    del steps
    return optax.constant_schedule(1.0)


def cosine(steps: int, *, end: float = 0.0) -> Schedule:
    """Half a cosine from 1 to `end` (Loshchilov & Hutter 2017, SGDR, equation 5 without restarts)."""
    return optax.cosine_decay_schedule(1.0, max(steps, 1), alpha=end)


def step(steps: int, *, at: tuple[float, ...] = (0.5, 0.75), factor: float = 0.1) -> Schedule:
    """Multiplied by `factor` at every share in `at` of the run, what warm-up takes left out."""
    if not all(0 < share < 1 for share in at):
        raise ValueError(f"at must be shares between 0 and 1, got {at}")
    falls = [int(share * steps) for share in at]  # two may be the same step
    return optax.piecewise_constant_schedule(1.0, {fall: factor ** falls.count(fall) for fall in falls})


def exponential(steps: int, *, end: float = 0.01) -> Schedule:
    """From 1 to `end` at the last step, multiplied by the same factor at every step."""
    rate = math.log(end) / max(steps - 1, 1)
    return lambda step: jnp.exp(rate * step)


PROBED = 101  # steps of the run at which `check` looks
NAMES = {"constant": constant, "cosine": cosine, "exponential": exponential, "step": step}


def make(name: str, steps: int, *, warmup: float = 0.0, kwargs: Mapping[str, Any] | None = None) -> Schedule:
    """The schedule `name` over `steps` steps.

    Args:
      name: constant, cosine, step, or "package.module:function", called with (steps, **kwargs).
      warmup: share of all steps in which the factor first rises from 0 linearly.

    Raises:
      ConfigError: no such schedule, or it does not take these keyword arguments.
    """
    make_schedule = NAMES.get(name) or dotted(name, f"a schedule ({', '.join(NAMES)})")
    warm = int(warmup * steps)
    try:
        schedule = make_schedule(steps - warm, **dict(kwargs or {}))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"config.optimizer.schedule_kwargs must fit '{name}': {error}.") from error
    if not warm:
        return schedule
    return optax.join_schedules([optax.linear_schedule(0.0, 1.0, warm), schedule], [warm])


def check(name: str, *, warmup: float = 0.0, kwargs: Mapping[str, Any] | None = None) -> None:
    """Look a schedule up, and at its factors over a run.

    Raises:
      ConfigError: see `make`; or a factor is negative or not finite.
    """
    schedule = make(name, PROBED, warmup=warmup, kwargs=kwargs)
    try:
        factors = [float(schedule(step)) for step in range(0, PROBED, 10)] + [float(schedule(PROBED - 1))]
    except (TypeError, ValueError) as error:
        raise ConfigError(f"config.optimizer.schedule_kwargs must fit '{name}': {error}.") from error
    if bad := [factor for factor in factors if not 0 <= factor < math.inf]:
        raise ConfigError(
            f"The factors of config.optimizer.schedule '{name}' must be finite numbers >= 0; over a run of {PROBED} "
            f"steps {bad[0]:g} is among them. Change config.optimizer.schedule_kwargs ({dict(kwargs or {})})."
        )


def in_phases(schedule: Schedule, scales: tuple[float, ...], ends: tuple[int, ...], start: int) -> Schedule:
    """A group's own factor: the run's schedule times its scale in the phase that the step is in.

    Args:
      scales: the group's scale in every phase.
      ends: the step at which each phase ends.
      start: the run's step at which the group's optimizer began to count.
    """

    def factor(count: Any) -> jax.Array:
        now = count + start
        phase = jnp.searchsorted(jnp.array(ends[:-1], jnp.int32), now, side="right")
        return schedule(now) * jnp.array(scales, jnp.float32)[phase]

    return factor


def dotted(path: str, what: str) -> Callable[..., Any]:
    """The function "package.module:function".

    Raises:
      ConfigError: it is not of that form, cannot be imported, or is none.
    """
    module, colon, function = path.partition(":")
    if not (module and colon and function):
        raise ConfigError(f"'{path}' must be {what} or a dotted path 'package.module:function'.")
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"'{path}' must be importable as 'package.module:function': {error}.") from error
    if not callable(found):
        raise ConfigError(f"'{path}' must be {what}, and so a function; it is a {type(found).__name__}.")
    return found
