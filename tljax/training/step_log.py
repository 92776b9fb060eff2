"""The metrics of training steps: read one step late, so that the device never waits, and logged every few steps.

A loss or a state that is not finite ends the run here, before the state is saved.
"""

import math
from collections.abc import Callable, Sequence

import jax
import numpy as np

from tljax.core.errors import TljaxError
from tljax.core.layer_groups import Groups, stage_of
from tljax.core.processes import agreement
from tljax.core.trees import flatten
from tljax.core.types import Tree
from tljax.reporting.report import Report
from tljax.training import plan_rates
from tljax.training.job import Job
from tljax.training.parallel import Parallel
from tljax.training.train_state import TrainState

WINDOW = 10  # the mean loss of this many steps is compared
LOWEST, FIRST = 10.0, 3.0  # limits of the mean: times the lowest mean, and times the run's first loss
MOST = 100  # the most steps whose metrics stay on the device; a loss that is not finite is found this late at most


class StepLog:
    """Logs the metrics of every `train.log_steps`-th step, and checks that the loss of every step is finite."""

    def __init__(self, job: Job, parallel: Parallel, report: Report) -> None:
        self._job, self._parallel, self._report = job, parallel, report
        self._waiting: list[tuple[int, Tree]] = []  # (updates done, metrics on the devices)
        self._runaway = Runaway(job.groups)
        self.ran_away = 0  # the last step before the loss ran away; 0: it has not

    def add(self, step: int, metrics: Tree, state: Callable[[], TrainState]) -> None:
        """Keep the metrics of a step, which may still be computing; read those of earlier steps if it is time.

        Args:
          step: number of updates, including this one.
          state: returns the state on the host; an error names its parts that are not finite.
        """
        if self._waiting and (self._is_logged(self._waiting[-1][0]) or len(self._waiting) >= MOST):
            self.flush(state)
        self._waiting.append((step, metrics))

    def flush(self, state: Callable[[], TrainState]) -> None:
        """Read all waiting metrics, and log those of every `log_steps`-th step.

        Raises:
          TljaxError: a loss is not finite.
        """
        waiting, self._waiting = self._waiting, []
        shown = [m if self._is_logged(s) else {k: m[k] for k in ("loss", "grad_norm") if k in m} for s, m in waiting]
        for (step, _), metrics in zip(waiting, self._parallel.get(shown), strict=True):
            values = {name: float(value) for name, value in metrics.items()}
            if not math.isfinite(values["loss"]):
                self._raise(step, values, state())
            if warning := self._runaway.add(step, values["loss"], state):
                self._report.say(warning)
            self.ran_away = self.ran_away or self._runaway.before
            if self._is_logged(step):
                rates = plan_rates.rate_at(self._job.phases, self._job.steps, self._job.config.optimizer, step - 1)
                self._report.metrics(step, "train", values | {f"lr/{group}": rate for group, rate in rates.items()})

    def check(self, state: TrainState) -> None:
        """Raise TljaxError if a state (on the host) is not finite: it must not be evaluated or saved."""
        if bad := faults(state, self._job.groups):
            raise TljaxError(
                f"The learned state must be finite; after step {int(state.step)} there is NaN or infinity in: "
                f"{_shown(bad)}. {self._report.diverged(int(state.step), bad, self.ran_away)}"
            )

    def _raise(self, step: int, values: dict[str, float], state: TrainState) -> None:
        bad = faults(state, self._job.groups)
        norm = f", the norm of the gradients {values['grad_norm']}" if "grad_norm" in values else ""
        where = f"NaN or infinity is now in: {_shown(bad)}. " if bad else ""
        raise TljaxError(
            f"The training loss must be finite; at step {step} it is {values['loss']}{norm}. {where}"
            f"{self._report.diverged(step, bad, self.ran_away)}"
        )

    def _is_logged(self, step: int) -> bool:
        return not step % self._job.config.train.log_steps or step in self._job.ends


class Runaway:
    """Warns once if the loss grows far beyond its earlier values, and names the group whose weights change most."""

    def __init__(self, groups: Groups) -> None:
        self._groups = groups
        self._losses: list[float] = []  # of the last WINDOW steps
        self._first, self._start, self._lowest = math.nan, math.inf, math.inf  # the first mean, loss; the lowest mean
        self._seen: tuple[int, dict[str, np.ndarray]] | None = None  # step and parameters when the loss had grown
        self.before = 0  # the last step before it grew; 0: it has not

    def add(self, step: int, loss: float, state: Callable[[], TrainState]) -> str:
        """Add a finite loss; returns a warning, or "".

        Args:
          state: returns the state on the host, which may be that of a later step.
        """
        if self._seen is not None:
            return self._warning(step, state()) if len(self._losses) == WINDOW else ""
        self._losses = [*self._losses[1 - WINDOW :], loss]
        self._start = loss if step == 1 else self._start
        if len(self._losses) < WINDOW:
            return ""
        mean = sum(self._losses) / WINDOW
        self._first = mean if math.isnan(self._first) else self._first
        self._lowest = min(self._lowest, mean)
        if self._lowest > 0 and (mean > FIRST * self._start or (mean > LOWEST * self._lowest and mean > self._first)):
            self.before = max(step - WINDOW, 1)
            current = state()
            self._seen = int(current.step), {path: np.array(x) for path, x in flatten(current.params).items()}
        return ""

    def _warning(self, step: int, state: TrainState) -> str:
        """The warning, when the state is later than the recorded one: how far each group's weights moved in between."""
        if self._seen is None or (steps := int(state.step) - self._seen[0]) <= 0:
            return ""
        mean, self._losses = sum(self._losses) / WINDOW, []
        old, new = self._seen[1], flatten(state.params)
        moved = {name: _change([(old[p], new[p]) for p in paths]) / steps for name, paths in self._groups.items()}
        group = max(moved, key=lambda name: moved[name])
        return (
            f"warning: the training loss runs away: the mean of {WINDOW} steps before step {step} is {mean:.4g}; the "
            f"lowest was {self._lowest:.4g}, and the first loss {self._start:.4g}. The weights of group '{group}' move "
            f"most ({moved[group]:.2g} of their norm a step): lower its rate, or "
            f"config.optimizer.lr, or set config.optimizer.clip."
        )


def _change(pairs: Sequence[tuple[Tree, Tree]]) -> float:
    """The norm of the change from the first to the second of each pair, divided by the norm of the first."""
    change = sum(float(np.sum((np.asarray(new, np.float64) - old) ** 2)) for old, new in pairs)
    norm = sum(float(np.sum(np.asarray(old, np.float64) ** 2)) for old, _ in pairs)
    return math.sqrt(change / norm) if norm else 0.0


def faults(state: TrainState, groups: Groups) -> list[str]:
    """The parts of a state that are not finite: groups, statistics of stages, optimizer states.

    An optimizer's state may hold infinities (a lowest loss so far starts at infinity), but not NaN.
    """
    params, stats = flatten(state.params), flatten(state.model_state)
    bad = [group for group, paths in groups.items() if not all(_finite(params[path]) for path in paths)]
    stages = [stage_of(path.partition("/")[2]) for path, x in stats.items() if not _finite(x)]
    bad += [f"statistics of {stage}" for stage in dict.fromkeys(stages)]
    inner = getattr(state.opt_state, "inner_states", {})
    bad += [
        f"optimizer state of {group}"
        for group, opt_state in inner.items()
        if any(map(_nan, jax.tree.leaves(opt_state)))
    ]
    return list(dict.fromkeys(name for some in agreement.gathered(bad) for name in some))


def _finite(x: Tree) -> bool:
    return all(bool(np.isfinite(part).all()) for part in _parts(x))


def _nan(x: Tree) -> bool:
    return x.dtype.kind not in "biu" and any(bool(np.isnan(part).any()) for part in _parts(x))


def _parts(x: Tree) -> list[np.ndarray]:
    """The parts of an array that this process has, one after the other: of a divided state, never the whole."""
    whole = not isinstance(x, jax.Array) or x.is_fully_replicated
    return [np.asarray(x)] if whole else [np.asarray(shard.data) for shard in x.addressable_shards]


def _shown(names: Sequence[str]) -> str:
    """The first ten names, for the user."""
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(names[:10]) + more
