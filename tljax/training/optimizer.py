"""A plan as an `optax.multi_transform`: every learning group has its own rate and its own state.

Frozen leaves never reach the optimizer: its trees hold `optax.MaskedNode()` instead. So frozen leaves have no gradient,
no update and no state, and do not count in the norm for clipping.
"""

from collections.abc import Hashable, Mapping, Sequence

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from tljax.core.errors import ConfigError
from tljax.core.layer_groups import Groups
from tljax.core.trees import flatten, unflatten
from tljax.core.types import Params, Tree
from tljax.training import averaging, group_settings, schedules
from tljax.training.optimizers import nature as optimizer_nature
from tljax.training.optimizers import transform
from tljax.training.plan_rates import Rate

Labels = Params  # the tree of parameters with the name of its group at each leaf; MaskedNode if frozen


def labels(groups: Groups, learning: Sequence[str]) -> Labels:
    """The name of the group at every parameter that learns."""
    homes = {path: group for group, paths in groups.items() for path in paths}
    frozen = optax.MaskedNode()
    return unflatten({path: group if group in learning else frozen for path, group in homes.items()})


def split(params: Params, labels: Labels) -> tuple[Params, Params]:
    """(learning parameters, frozen parameters); each has MaskedNode at the leaves of the other."""
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
    config: ConfigDict, rates: Mapping[str, Rate], labels: Labels, ends: Mapping[str, averaging.Ends] | None = None
) -> optax.GradientTransformation:
    """The optimizer of one phase: one transformation for each learning group.

    Args:
      ends: for every group, the steps to average by `config.swa`; None without it.

    Raises:
      ConfigError: there is no such optimizer, or it does not accept the keyword arguments.
    """
    transforms: dict[Hashable, optax.GradientTransformation] = {
        group: transform.make(group_settings.of(config, group), rate) for group, rate in rates.items()
    }
    if config.ema:
        transforms = {group: averaging.after(one, config.ema) for group, one in transforms.items()}
    if ends:
        transforms = {group: averaging.at_ends(one, ends[str(group)]) for group, one in transforms.items()}
    return optax.multi_transform(transforms, labels)


def carry(old: Tree, new: Tree) -> Tree:
    """The state of a new phase: a group that learned before keeps its state; a new group has a new state."""
    inner_states = {group: old.inner_states.get(group, fresh) for group, fresh in new.inner_states.items()}
    return new._replace(inner_states=inner_states)


def clip(grads: Params, limit: float) -> tuple[Params, jax.Array]:
    """Gradients scaled so that their global norm is at most `limit` (0: not scaled), and the norm before scaling."""
    norm = optax.tree.norm(grads)
    if not limit:
        return grads, norm
    factor = jnp.minimum(1.0, limit / jnp.maximum(norm, 1e-12))
    return jax.tree.map(lambda g: g * factor, grads), norm


def state_bytes(opt_state: Tree) -> dict[str, int]:
    """Bytes of optimizer state of every learning group."""
    return {
        group: sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(inner))
        for group, inner in opt_state.inner_states.items()
    }


def check(config: ConfigDict) -> None:
    """Look up the optimizers and schedules of the run and of every group, before anything is downloaded.

    Raises:
      ConfigError: there is no such optimizer or schedule, or it does not accept its keyword arguments.
    """
    group_settings.check(config)
    for group in (None, *config.groups):
        setting = group_settings.of(config, group)
        transform.make(setting, setting.lr)
        schedules.look_up(
            setting.schedule, warmup=setting.warmup, kwargs=setting.schedule_kwargs, any_factor=setting.any_factor
        )
        if (config.ema or config.swa) and optimizer_nature.of(setting).evaluated_elsewhere:
            raise ConfigError(
                f"config.optimizer.ema and config.optimizer.swa must be 0 with '{setting.name}': it has other "
                f"parameters for evaluation, which would not be in the mean."
            )
