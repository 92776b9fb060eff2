"""A job: network, task and plan together. It makes the step, the optimizer and the table of every phase."""

import dataclasses
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from tljax.core import layer_groups
from tljax.core.errors import ConfigError
from tljax.core.layer_groups import Groups
from tljax.core.trees import count, flatten
from tljax.core.types import Mode, Phase, Prepare, Record, Tree, Variables
from tljax.networks.network import Network
from tljax.tasks import Task
from tljax.training import group_settings, optimizer, plan_rates, schedules
from tljax.training.averaging import Ends, averaged
from tljax.training.group_settings import Setting
from tljax.training.optimizers import group_decay
from tljax.training.optimizers import nature as optimizer_nature
from tljax.training.train_state import TrainState
from tljax.training.train_step import Objective, Step, make_train_step
from tljax.transfer.alignment import NONE, Alignment
from tljax.transfer.method import PLAIN, Method

OWN_COLUMNS = ("optimizer", "schedule")  # more columns, if groups have their own
GROUP_COLUMNS = ("group", "stages", "parameters", "share", "lr", "decay", "BatchNorm", "optimizer bytes")


def _on_host(function: Callable[[Tree], Tree], tree: Tree) -> Tree:
    return jax.tree.map(np.array, jax.jit(function)(tree))


@dataclasses.dataclass(frozen=True)
class Job:
    """A network, a task, and a plan over the network's groups."""

    network: Network
    task: Task
    prepare: Prepare
    groups: Groups
    phases: Sequence[Phase]
    steps: int  # updates in the whole run
    config: ConfigDict  # the whole config; functions get their parts of it
    axis: str | None
    method: Method = PLAIN
    alignment: Alignment = NONE

    @property
    def steps_per_epoch(self) -> float:
        return self.steps / self.config.train.epochs

    @property
    def ends(self) -> tuple[int, ...]:
        return plan_rates.step_ends(self.phases, self.steps)

    def mode(self, phase: Phase) -> Mode:
        moving = tuple(self.config.strategy.moving_statistics)
        return Mode(True, layer_groups.frozen_modules(self.groups, phase.learning, moving))

    def mode_until(self, step: int) -> Mode:
        """As `mode`, for the groups that have learned in any phase that begins before `step`."""
        phases = [phase for phase, begin in zip(self.phases, (0, *self.ends), strict=False) if begin < max(step, 1)]
        learning = {group for phase in phases for group in phase.learning}
        moving = tuple(self.config.strategy.moving_statistics)
        return Mode(True, layer_groups.frozen_modules(self.groups, tuple(learning), moving))

    def tx(self, index: int) -> optax.GradientTransformation:
        rates = plan_rates.rates(self.phases, self.steps, self.config.optimizer)[index]
        return optimizer.make(self.config.optimizer, rates, self.labels(index), self._averaged_ends(index))

    def due(self, step: int, epochs: float) -> bool:
        """Whether `step` is the step nearest to a multiple of `epochs`."""
        length = epochs * self.steps_per_epoch
        return length <= 1 or round(round(step / length) * length) == step

    @property
    def averaged_steps(self) -> tuple[int, ...]:
        """The last steps of the last epochs, in order: the weights after these are averaged (optimizer.swa).

        All lie in the last phase, so the same groups learn in all the averaged networks.
        """
        share, epochs = self.config.optimizer.swa, self.config.train.epochs
        if not share:
            return ()
        last = range(math.floor(share * epochs + 1e-6) + 1, math.floor(epochs) + 1)
        begin, steps = (0, *self.ends)[-2], {max(1, round(epoch * self.steps_per_epoch)) for epoch in last}
        return tuple(sorted({step for step in steps if step > begin} | {self.steps}))

    def is_mean(self, step: int) -> bool:
        """Whether evaluation after `step` uses a mean of weights instead of the last weights."""
        ema = bool(self.config.optimizer.ema)
        return ema or self.evaluated_elsewhere or any(end <= step for end in self.averaged_steps)

    @property
    def evaluated_elsewhere(self) -> bool:
        """Whether an optimizer has other parameters for evaluation, as schedule-free ones have."""
        config = self.config.optimizer
        return any(optimizer_nature.of(group_settings.of(config, group)).evaluated_elsewhere for group in self.groups)

    def _averaged_ends(self, index: int) -> dict[str, Ends] | None:
        if not self.averaged_steps:
            return None
        begun = plan_rates.begun(self.phases, self.ends)[index]
        return {group: Ends(begin, self.averaged_steps) for group, begin in begun.items()}

    def labels(self, index: int) -> Record:
        return optimizer.labels(self.groups, self.phases[index].learning)

    def step(self, index: int) -> Step:
        objective = Objective(
            self.network,
            self.task,
            self.prepare,
            self.mode(self.phases[index]),
            self.config.task,
            axis=self.axis,
            method=self.method,
            alignment=self.alignment,
            steps=self.steps,
            phase=self.phases[index].name,
        )
        clip, accumulate = self.config.optimizer.clip, self.config.optimizer.accumulate
        return make_train_step(objective, self.tx(index), self.labels(index), clip=clip, accumulate=accumulate)

    def variables(self, state: TrainState) -> Variables:
        """The variables for evaluation and model/: running means, with a strategy's added parameters merged."""
        params = self.method.effective(averaged(state.params, state.opt_state))
        return {"params": self.alignment.network(params), **state.model_state}

    @property
    def changes(self) -> bool:
        """Whether evaluation uses other parameters than the state's."""
        mean = bool(self.config.optimizer.ema or self.config.optimizer.swa)
        moved = self.method.changes is not None or self.alignment.has_parameters
        return moved or mean or self.evaluated_elsewhere

    def enter(self, index: int, state: TrainState, compute: Callable[..., Tree] = _on_host) -> TrainState:
        """The state at the first step of phase `index`.

        Groups that continue to learn keep their optimizer state. Groups that stop get their running mean, if any.

        Args:
          compute: `Parallel.compute`, which begins the optimizer's state where it will lie.
        """
        before = state.opt_state.inner_states if state.opt_state else {}
        stopped = {group: kept for group, kept in before.items() if group not in self.phases[index].learning}
        params = averaged(state.params, stopped)
        learns, _ = optimizer.split(params, self.labels(index))
        fresh = compute(self.tx(index).init, learns)
        opt_state = optimizer.carry(state.opt_state, fresh) if state.opt_state else fresh
        return state.replace(params=params, opt_state=opt_state)

    def at(self, step: int, start: TrainState) -> TrainState:
        """A state with the structure of a checkpoint of `step`: that of phase i, from its first step on."""
        index = next(i for i, end in enumerate(self.ends) if step <= end)
        learns, _ = optimizer.split(start.params, self.labels(index))
        return start.replace(opt_state=jax.eval_shape(self.tx(index).init, learns))

    def tables(self, start: TrainState) -> list[tuple[str, Sequence[str], list[list[str]]]]:
        """(title, columns, rows) of the table of groups in every phase.

        Raises:
          ConfigError: `config.optimizer.groups` names a group that the run does not have, a schedule has no factor near
            1 over its steps, or an optimizer does not work for its group.
        """
        config = self.config.optimizer
        group_settings.check_names(config, self.groups)
        for setting in self.settings.values():
            if setting.schedule not in schedules.NAMES:  # our schedules do not depend on the number of steps
                keys = {"warmup": setting.warmup, "kwargs": setting.schedule_kwargs, "any_factor": setting.any_factor}
                schedules.check(setting.schedule, self.steps, **keys)
        titles = [
            f"phase '{phase.name}', to step {end} ({config.name}, {config.schedule} schedule)"
            for phase, end in zip(self.phases, self.ends, strict=True)
        ]
        columns = GROUP_COLUMNS + (OWN_COLUMNS if config.groups else ())
        return [(title, columns, self.group_table(start, index)) for index, title in enumerate(titles)]

    @property
    def settings(self) -> dict[str, Setting]:
        """Group -> its settings, for all groups that learn in some phase."""
        learning = {group for phase in self.phases for group in phase.learning}
        return {group: group_settings.of(self.config.optimizer, group) for group in self.groups if group in learning}

    def group_table(self, start: TrainState, index: int) -> list[list[str]]:
        """One row for each group, for the user: the group, and its settings in phase `index` (GROUP_COLUMNS,
        OWN_COLUMNS).
        """
        leaves = flatten(start.params)
        begin = self.ends[index - 1] if index else 0
        peak = max(begin, int(self.config.optimizer.warmup * self.steps))
        rates = plan_rates.rate_at(self.phases, self.steps, self.config.optimizer, min(peak, self.ends[index] - 1))
        stored = self._stored(index, start)
        frozen = self.mode(self.phases[index]).frozen
        rows = []
        for group, paths in self.groups.items():
            size = sum(leaves[path].size for path in paths)
            stages = dict.fromkeys(layer_groups.stage_of(path) for path in paths)
            setting = self.settings[group] if group in self.phases[index].learning else None
            row = [
                group,
                " ".join(stages),
                f"{size:,}",
                f"{size / count(start.params):.1%}",
                f"{rates[group]:.2g}{' (its own)' if setting.own_lr else ''}" if setting else "frozen",
                group_decay.said(setting, start.params, paths) if setting else "-",
                _norm_mode(paths, start.model_state, frozen),
                f"{stored.get(group, 0):,}",
            ]
            own = [setting.name, setting.schedule] if setting else ["-", "-"]
            rows.append(row + (own if self.config.optimizer.groups else []))
        return rows

    def _stored(self, index: int, start: TrainState) -> dict[str, int]:
        """Bytes of optimizer state of every learning group; an update is traced, on shapes only."""
        tx, (learns, _) = self.tx(index), optimizer.split(start.params, self.labels(index))
        try:
            opt_state = jax.eval_shape(tx.init, learns)
            update = optax.with_extra_args_support(tx).update
            jax.eval_shape(lambda p, s: update(p, s, p, value=jnp.float32(1.0)), learns, opt_state)
        except (TypeError, ValueError, AttributeError) as error:
            raise ConfigError(
                f"The optimizer '{self.config.optimizer.name}' must accept its arguments "
                f"({dict(self.config.optimizer.kwargs)}) and plain gradients, but fails: {str(error).splitlines()[0]}"
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
