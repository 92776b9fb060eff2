"""A job: network, task and plan together. It makes the step and the optimizer of every phase."""

import dataclasses
import math
from collections.abc import Callable, Sequence

import jax
import numpy as np
import optax
from ml_collections import ConfigDict

from tljax.core import layer_groups
from tljax.core.layer_groups import Groups
from tljax.core.types import Mode, Phase, Prepare, Record, Tree, Variables
from tljax.networks.network import Network
from tljax.tasks import Task
from tljax.training import group_settings, optimizer, plan_rates
from tljax.training.averaging import Ends, averaged
from tljax.training.group_settings import Setting
from tljax.training.optimizers import nature as optimizer_nature
from tljax.training.train_state import TrainState
from tljax.training.train_step import Objective, Step, make_train_step
from tljax.transfer.alignment import NONE, Alignment
from tljax.transfer.method import PLAIN, Method


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
        stopped = {
            group: group_state for group, group_state in before.items() if group not in self.phases[index].learning
        }
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

    @property
    def settings(self) -> dict[str, Setting]:
        """Group -> its settings, for all groups that learn in some phase."""
        learning = {group for phase in self.phases for group in phase.learning}
        return {group: group_settings.of(self.config.optimizer, group) for group in self.groups if group in learning}
