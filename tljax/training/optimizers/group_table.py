"""The table of groups before training: what learns in each phase, and how."""

import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import optax

from tljax.core import layer_groups
from tljax.core.errors import ConfigError
from tljax.core.trees import count, flatten
from tljax.core.types import Variables
from tljax.training import group_settings, optimizer, plan_rates, schedules
from tljax.training.job import Job
from tljax.training.optimizers import group_decay
from tljax.training.train_state import TrainState

COLUMNS = ("group", "stages", "parameters", "share", "lr", "decay", "BatchNorm", "optimizer bytes")
OWN_COLUMNS = ("optimizer", "schedule")  # more columns, if groups have their own


def tables(job: Job, start: TrainState) -> list[tuple[str, Sequence[str], list[list[str]]]]:
    """(title, columns, rows) of the table of groups in every phase.

    Raises:
      ConfigError: `config.optimizer.groups` names a group that the run does not have, a schedule has no factor near 1
        over its steps, or an optimizer does not work for its group.
    """
    config = job.config.optimizer
    group_settings.check_names(config, job.groups)
    for setting in job.settings.values():
        if setting.schedule not in schedules.NAMES:  # our schedules do not depend on the number of steps
            keys = {"warmup": setting.warmup, "kwargs": setting.schedule_kwargs, "any_factor": setting.any_factor}
            schedules.check(setting.schedule, job.steps, **keys)
    titles = [
        f"phase '{phase.name}', to step {end} ({config.name}, {config.schedule} schedule)"
        for phase, end in zip(job.phases, job.ends, strict=True)
    ]
    columns = COLUMNS + (OWN_COLUMNS if config.groups else ())
    return [(title, columns, rows(job, start, index)) for index, title in enumerate(titles)]


def rows(job: Job, start: TrainState, index: int) -> list[list[str]]:
    """The settings of the groups in phase `index`, for the user: a row for each group, but only one for neighbours that
    are frozen alike.
    """
    leaves, total = flatten(start.params), count(start.params)
    begin = job.ends[index - 1] if index else 0
    peak = max(begin, int(job.config.optimizer.warmup * job.steps))
    rates = plan_rates.rate_at(job.phases, job.steps, job.config.optimizer, min(peak, job.ends[index] - 1))
    stored = _stored(job, index, start)
    table = []
    for groups, norm in _together(job, index, start):
        paths = [path for group in groups for path in job.groups[group]]
        size = sum(leaves[path].size for path in paths)
        stages = list(dict.fromkeys(layer_groups.stage_of(path) for path in paths))
        setting = job.settings[groups[0]] if groups[0] in job.phases[index].learning else None
        row = [
            _named(groups),
            " ".join(stages) if len(groups) == 1 else _named(stages),
            f"{size:,}",
            f"{size / total:.1%}",
            f"{rates[groups[0]]:.2g}{' (its own)' if setting.own_lr else ''}" if setting else "frozen",
            group_decay.said(setting, start.params, paths) if setting else "-",
            norm,
            f"{stored.get(groups[0], 0):,}",
        ]
        own = [setting.name, setting.schedule] if setting else ["-", "-"]
        table.append(row + (own if job.config.optimizer.groups else []))
    return table


def _together(job: Job, index: int, start: TrainState) -> list[tuple[list[str], str]]:
    """(The groups of a row, the statistics of their BatchNorms), in order."""
    still, learning = job.mode(job.phases[index]).frozen, job.phases[index].learning
    norms = {group: _norm_mode(paths, start.model_state, still) for group, paths in job.groups.items()}

    def alike(group: str) -> tuple[str, str]:
        return (group if group in learning else "", norms[group])

    return [(list(groups), norm) for (_, norm), groups in itertools.groupby(job.groups, key=alike)]


def _named(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"


def _stored(job: Job, index: int, start: TrainState) -> dict[str, int]:
    """Bytes of optimizer state of every learning group; an update is traced, on shapes only."""
    tx, (learns, _) = job.tx(index), optimizer.split(start.params, job.labels(index))
    try:
        opt_state = jax.eval_shape(tx.init, learns)
        update = optax.with_extra_args_support(tx).update
        jax.eval_shape(lambda p, s: update(p, s, p, value=jnp.float32(1.0)), learns, opt_state)
    except (TypeError, ValueError, AttributeError) as error:
        raise ConfigError(
            f"The optimizer '{job.config.optimizer.name}' must accept its arguments "
            f"({dict(job.config.optimizer.kwargs)}) and plain gradients, but fails: {str(error).splitlines()[0]}"
        ) from error
    return optimizer.state_bytes(opt_state)


def _norm_mode(paths: Sequence[str], model_state: Variables, frozen: frozenset[str]) -> str:
    """The statistics that the group's BatchNorms use: "batch", "stored", or "-" if it has no BatchNorm."""
    norms = {path.rpartition("/")[0] for path in flatten(model_state.get("batch_stats", {}))}
    ours = norms & {path.rpartition("/")[0] for path in paths}
    still = {norm for norm in ours if any(f"{norm}/".startswith(f"{module}/") for module in frozen)}
    if not ours:
        return "-"
    return "stored" if still == ours else "batch" if not still else f"stored {len(still)} of {len(ours)}"
