"""Properties of an optimizer with its keyword arguments, found before it is used; user functions are tried out."""

import contextlib
import dataclasses
import functools
import inspect
import math
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import optax
import optax.contrib

from tljax.core.errors import ConfigError
from tljax.core.types import Params, Tree
from tljax.training.group_settings import Setting
from tljax.training.optimizers import names as optimizer_names
from tljax.training.optimizers import trial as optimizer_trial
from tljax.training.schedules import Kwargs, Rate

# optax's keywords for the mask of leaves that decay; and keyword arguments that have their own key in the config.
MASKS = ("mask", "weight_decay_mask")
OWN_KEYS = {"learning_rate": "lr", "max_learning_rate": "lr", "weight_decay": "weight_decay"}
SHRINKS = (optax.fromage,)  # optimizers of optax whose rule shrinks parameters, without a weight decay argument
# States with other parameters for evaluation than those that the step updates.
EVALUATED_ELSEWHERE = (optax.contrib.ScheduleFreeState, optax.contrib.SAMState)


@dataclasses.dataclass(frozen=True)
class Nature:
    """The properties of an optimizer with its keyword arguments."""

    of_optax: bool
    takes_decay: bool  # whether it accepts weight_decay
    mask: str  # the keyword for the mask of leaves that decay; "": it has none
    decays: bool  # whether it decays by itself, without an argument for it
    has_keys: bool  # whether its state holds typed random keys
    evaluated_elsewhere: bool  # whether it has other parameters for evaluation (`averaging.averaged`)


def of(setting: Setting) -> Nature:
    """The properties of a group's optimizer, which is tried once.

    Raises:
      ConfigError: there is no such optimizer, it does not accept its keyword arguments, it fails, or its state cannot
        be saved in a checkpoint.
    """
    own = [f"{key} (config.optimizer.{short})" for key, short in OWN_KEYS.items() if key in setting.kwargs]
    if own:
        raise ConfigError(f"config.optimizer.kwargs must not hold arguments with a key of their own: {', '.join(own)}.")
    if bad := [f"{key}={x}" for key, x in setting.kwargs.items() if isinstance(x, float) and not math.isfinite(x)]:
        raise ConfigError(f"config.optimizer.kwargs must be finite; got {', '.join(bad)}.")
    return _tried(Key(setting.name, setting.kwargs))


def built(name: str, rate: Rate, kwargs: Kwargs) -> optax.GradientTransformation:
    """The transformation that the optimizer `name` returns.

    Raises:
      ConfigError: it does not accept these arguments, or returns something else.
    """
    function = optimizer_names.find(name)
    try:
        tx = function(**{optimizer_names.rate_key(function): rate}, **kwargs)
    except Exception as error:  # a function of the user's own may raise anything
        raise ConfigError(
            f"config.optimizer.kwargs must fit '{name}': {error}.\n"
            f"  It takes {', '.join(_accepted(function))}; got {', '.join(kwargs) or 'none'}.\n"
            f"  --config.optimizer.kwargs={{}} removes all arguments that the config has."
        ) from error
    tx = tx.gradient_transformation() if isinstance(tx, optax.MultiSteps) else tx
    if not isinstance(tx, optax.GradientTransformation):
        raise ConfigError(
            f"The optimizer '{name}' must return an optax.GradientTransformation; it returned {type(tx).__name__}."
        )
    if optimizer_names.is_optax(function) or optimizer_trial.takes_loss(tx):
        return tx
    update = tx.update  # it accepts extra arguments, but not the loss
    return optax.GradientTransformation(tx.init, lambda updates, state, params=None: update(updates, state, params))


def is_kernel(params: Params) -> Params:
    """The mask of leaves that decay if norms and biases do not."""
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


def is_key(leaf: Tree) -> bool:
    """Whether a leaf of a state is a typed random key, which cannot be saved directly."""
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


class Key:
    """Name and keyword arguments (of any type) as a key of a cache."""

    def __init__(self, name: str, kwargs: Kwargs) -> None:
        self.name, self.kwargs, self._text = name, dict(kwargs), f"{name} {sorted(kwargs.items(), key=str)!r}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


@functools.lru_cache(maxsize=256)
def _tried(key: Key) -> Nature:
    function, name, kwargs = optimizer_names.find(key.name), key.name, key.kwargs
    of_optax = optimizer_names.is_optax(function)
    if of_optax:  # their signatures tell all; tests try each of them
        accepted = _accepted(function)
        takes_decay, decays = "weight_decay" in accepted, function in SHRINKS
        mask = next((one for one in MASKS if one in accepted), "")
        tx = built(name, 1.0, kwargs)
    else:
        takes_decay = _takes_decay(name, kwargs)
        mask = _mask(name, kwargs) if takes_decay else ""
        own_kwargs = kwargs | ({"weight_decay": 0.0} if takes_decay else {})
        tx = built(name, 1.0, own_kwargs)
        _state(name, tx)
        decays = any(
            d != 0 for d in optimizer_trial.decays(lambda rate: built(name, rate, own_kwargs)).values()
        )  # or NaN
    state = _state(name, tx)
    leaves = jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, EVALUATED_ELSEWHERE))
    return Nature(
        of_optax=of_optax,
        takes_decay=takes_decay,
        mask=mask,
        decays=decays,
        has_keys=any(is_key(leaf) for leaf in jax.tree.leaves(state)),
        evaluated_elsewhere=any(isinstance(leaf, EVALUATED_ELSEWHERE) for leaf in leaves),
    )


def _state(name: str, tx: optax.GradientTransformation) -> Tree:
    """The shapes of its state on a small tree, after an update has been tried."""
    with _blamed(name):
        changed = optimizer_trial.changed_state(tx)
    if changed:
        raise ConfigError(
            f"The state of the optimizer '{name}' must keep its shapes and types from step to step; an update changes "
            + "; ".join(changed[:3])
        )
    return jax.eval_shape(tx.init, optimizer_trial.TREE)


@contextlib.contextmanager
def _blamed(name: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the user's own function may raise anything
        raise ConfigError(
            f"The optimizer '{name}' must take a tree of parameters and plain gradients, and keep arrays in its state; "
            f"tried on a small tree it fails: {type(error).__name__}: {str(error).splitlines()[0]}"
        ) from error


def _takes_decay(name: str, kwargs: Kwargs) -> bool:
    """Whether weight_decay=... is accepted, and changes what the optimizer does."""
    try:
        none, much = (_decays(name, {**kwargs, "weight_decay": decay}) for decay in (0.0, 0.5))
    except Exception:  # a real fault is reported later, when it is built without decay
        return False
    return repr(none) != repr(much)


def _mask(name: str, kwargs: Kwargs) -> str:
    """The keyword for a mask that excludes norms and biases from decay; "" if it has none."""
    for mask in MASKS:
        with contextlib.suppress(Exception):
            decays = _decays(name, {**kwargs, "weight_decay": 0.5, mask: is_kernel})
            if {path.rpartition("/")[2] for path, d in decays.items() if d != 0} == {"kernel"}:
                return mask
    return ""


def _decays(name: str, kwargs: Kwargs) -> dict[str, float]:
    return optimizer_trial.decays(lambda rate: built(name, rate, kwargs))


def _accepted(function: Callable[..., Tree]) -> tuple[str, ...]:
    try:
        return tuple(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return ("arguments that its signature does not show",)
