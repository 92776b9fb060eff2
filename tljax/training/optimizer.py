"""A plan as an `optax.multi_transform`: every learning group has its own rate and its own state.

Frozen leaves never reach the optimizer: the trees given to it hold `optax.MaskedNode()` in their
place, so there is no gradient, no update and no state for them, and no clip norm that counts them.
"""

import difflib
import inspect
import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from tljax.core.errors import ConfigError
from tljax.core.layer_groups import Groups
from tljax.core.trees import flatten, unflatten
from tljax.core.types import Params
from tljax.training import averaging, schedules
from tljax.training.plan_rates import Rate

Labels = dict[str, Any]  # the tree of parameters with group names, MaskedNode where frozen


def labels(groups: Groups, learning: Sequence[str]) -> Labels:
    """The group's name at every parameter that learns."""
    homes = {path: group for group, paths in groups.items() for path in paths}
    frozen = optax.MaskedNode()
    return unflatten({path: group if group in learning else frozen for path, group in homes.items()})


def split(params: Params, labels: Labels) -> tuple[Params, Params]:
    """(what learns, what is frozen), each with MaskedNode in the places of the other."""
    flat, names = flatten(params), flatten(labels)
    frozen = {path for path in flat if isinstance(names[path], optax.MaskedNode)}
    masked = optax.MaskedNode()
    learns = unflatten({path: masked if path in frozen else leaf for path, leaf in flat.items()})
    rest = unflatten({path: leaf if path in frozen else masked for path, leaf in flat.items()})
    return learns, rest


def merge(learns: Params, rest: Params) -> Params:
    """The inverse of `split`."""
    ours, others = flatten(learns), flatten(rest)
    return unflatten({p: others[p] if isinstance(x, optax.MaskedNode) else x for p, x in ours.items()})


def make(
    config: Any, rates: Mapping[str, Rate], labels: Labels, ends: Mapping[str, averaging.Ends] | None = None
) -> optax.GradientTransformation:
    """The optimizer of one phase: one transformation a learning group.

    Args:
      ends: of every group, the steps that `config.swa` asks to average; None without it.

    Raises:
      ConfigError: no such optimizer, or it does not take the keyword arguments.
    """
    transforms: dict[Hashable, Any] = {group: _transform(config, rate) for group, rate in rates.items()}
    if config.ema:
        transforms = {group: averaging.after(one, config.ema) for group, one in transforms.items()}
    if ends:
        transforms = {group: averaging.at_ends(one, ends[str(group)]) for group, one in transforms.items()}
    return optax.multi_transform(transforms, labels)


def carry(old: Any, new: Any) -> Any:
    """The state of a new phase: a group that went on learning keeps its own, a new one starts fresh."""
    kept = {group: old.inner_states.get(group, fresh) for group, fresh in new.inner_states.items()}
    return new._replace(inner_states=kept)


def clip(grads: Params, limit: float) -> tuple[Params, jax.Array]:
    """Gradients scaled so that their global norm is at most `limit` (0: as they are), and the norm before."""
    norm = optax.tree.norm(grads)
    if not limit:
        return grads, norm
    factor = jnp.minimum(1.0, limit / jnp.maximum(norm, 1e-12))
    return jax.tree.map(lambda g: g * factor, grads), norm


def state_bytes(opt_state: Any) -> dict[str, int]:
    """Bytes of optimizer state of every learning group."""
    return {
        group: sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(inner))
        for group, inner in opt_state.inner_states.items()
    }


def _transform(config: Any, rate: Rate) -> optax.GradientTransformation:
    function = _function(config.name)
    kwargs = dict(config.kwargs)
    accepted = inspect.signature(function).parameters
    own = [f"{key} (config.optimizer.{short})" for key, short in OWN_KEYS.items() if key in kwargs]
    if own:
        raise ConfigError(f"config.optimizer.kwargs must not hold what has a key of its own: {', '.join(own)}.")
    if bad := [f"{key}={x}" for key, x in kwargs.items() if isinstance(x, float) and not math.isfinite(x)]:
        raise ConfigError(f"config.optimizer.kwargs must be finite; got {', '.join(bad)}.")
    decay, mask = float(config.weight_decay), None if config.decay_norms_and_biases else _is_kernel
    if "weight_decay" in accepted and decay:  # decoupled, as AdamW and Lion define it
        masks = [name for name in MASKS if name in accepted]
        if mask and not masks:
            raise ConfigError(
                f"The weight decay of '{config.name}' cannot skip norms and biases: it takes no mask. "
                f"Set config.optimizer.decay_norms_and_biases=true, or config.optimizer.weight_decay=0."
            )
        kwargs |= {"weight_decay": decay} | ({masks[0]: mask} if mask else {})
        decay = 0.0
    elif "weight_decay" in accepted:
        kwargs |= {"weight_decay": 0.0}
    try:
        transform = function(learning_rate=rate, **kwargs)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"config.optimizer.kwargs must fit '{config.name}': {error}.\n"
            f"  It takes {', '.join(accepted)}; got {', '.join(kwargs) or 'none'}.\n"
            f"  They are set anew as a whole by --config.optimizer.kwargs={{}}, which leaves none of the config's."
        ) from error
    if not decay:
        return transform
    # Coupled L2, as in torch.optim.SGD: the decay is part of the gradient, so momentum sees it.
    return optax.chain(optax.add_decayed_weights(decay, mask=mask), transform)


def check(config: Any) -> None:
    """Look up the optimizer and the schedule, before anything is downloaded.

    Raises:
      ConfigError: there is no such one, or it does not take its keyword arguments.
    """
    _transform(config, float(config.lr))
    schedules.check(config.schedule, warmup=config.warmup, kwargs=config.schedule_kwargs)


# optax's names for the leaves that decay, and the keyword arguments that have a config key of their own.
MASKS = ("mask", "weight_decay_mask")
OWN_KEYS = {"learning_rate": "lr", "weight_decay": "weight_decay"}
# What a step cannot serve, and why.
UNFIT = {
    "lbfgs": "its line search needs the loss as a function",
    "noisy_sgd": "its state holds a typed random key, which no checkpoint takes",
}


def names() -> tuple[str, ...]:
    """The optimizers of optax: its public functions that take a learning rate."""
    functions = {name: f for name, f in vars(optax).items() if inspect.isfunction(f) and name[0] != "_"}
    takes_rate = (n for n, f in functions.items() if "learning_rate" in inspect.signature(f).parameters)
    return tuple(sorted(name for name in takes_rate if not name.startswith("scale_by_") and name not in UNFIT))


def _function(name: str) -> Any:
    if ":" in name:
        return schedules.dotted(name, "an optax optimizer")
    known = names()
    if name in UNFIT:
        raise ConfigError(f"config.optimizer.name '{name}' does not fit a training step: {UNFIT[name]}.")
    if name in known:
        return getattr(optax, name)
    close = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    raise ConfigError(
        f"config.optimizer.name must be an optimizer of optax ({', '.join(known)}) "
        f"or 'package.module:function'; got '{name}'.{hint}"
    )


def _is_kernel(params: Params) -> Params:
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)
