"""Optimizers by name: those of optax and optax.contrib, or the user's own function."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import optax
import optax.contrib

from tljax.core import functions, near_names
from tljax.core.errors import ConfigError
from tljax.core.types import Tree
from tljax.training.schedules import Rate

RATE_KEYS = ("learning_rate", "max_learning_rate")  # keywords of the rate in optax's optimizers
# Optimizers that do not work in a training step, and why.
UNFIT = {
    "lbfgs": "its line search needs the loss as a function",
    "contrib.sophia": "its estimate of the Hessian needs the loss as a function",
    "contrib.dpsgd": "it needs the gradient of every example by itself",
    "contrib.schedule_free": "it wraps another optimizer: name contrib.schedule_free_sgd or _adamw, or write a "
    "function (learning_rate) that returns what you want, and name that",
}


def reduce_on_plateau(
    learning_rate: Rate, *, momentum: float | None = None, nesterov: bool = False, **kwargs: Any
) -> Tree:
    """SGD whose updates shrink when the training loss stops falling, by `optax.contrib.reduce_on_plateau(**kwargs)`."""
    return optax.chain(optax.sgd(learning_rate, momentum, nesterov), optax.contrib.reduce_on_plateau(**kwargs))


@functools.cache
def names() -> tuple[str, ...]:
    """The names of optimizers that work in a training step."""
    return tuple(sorted(name for name in _table() if name not in UNFIT))


def find(name: str) -> Callable[..., Tree]:
    """The optimizer `name`, as a function of a rate (`rate_key`) and keyword arguments.

    Args:
      name: "adamw"; "contrib.momo", or "momo" if optax itself has none; or the user's own function (`functions.find`).

    Raises:
      ConfigError: there is no such optimizer, or it does not work in a training step.
    """
    table = _table()
    full = next((known for known in (name, f"contrib.{name}", name.removeprefix("optax.")) if known in table), None)
    if full in UNFIT:
        raise ConfigError(f"config.optimizer.name '{name}' does not fit a training step: {UNFIT[full]}.")
    if full:
        return table[full]
    if ":" in name or "." in name:
        return functions.find(name, "an optimizer")
    raise ConfigError(
        f"config.optimizer.name must be an optimizer of optax ({', '.join(names())}) "
        f"or a function by its place ({functions.FORMS}); got '{name}'.{near_names.did_you_mean(name, names())}"
    )


def rate_key(function: Callable[..., Tree]) -> str:
    """The keyword of `function` for its rate; the user's own functions have `learning_rate`."""
    if function in _table().values() and RATE_KEYS[0] not in inspect.signature(function).parameters:
        return RATE_KEYS[1]
    return RATE_KEYS[0]


def is_optax(function: Callable[..., Tree]) -> bool:
    """Whether it is from optax, whose signatures tell all keyword arguments."""
    return any(function is known for known in _table().values())


@functools.cache
def _table() -> dict[str, Callable[..., Tree]]:
    """Every public function of optax that makes an optimizer from a rate, with aliases (partials)."""
    table: dict[str, Callable[..., Tree]] = {"contrib.reduce_on_plateau": reduce_on_plateau}
    for module, prefix in ((optax, ""), (optax.contrib, "contrib.")):
        for name, value in vars(module).items():
            if inspect.isfunction(value) or isinstance(value, functools.partial):
                takes_rate = set(RATE_KEYS) & set(inspect.signature(value).parameters)
                if takes_rate and not name.startswith(("_", "scale_by_")):
                    table[prefix + name] = value
    return table
