"""The metrics of training steps: looked at one step late, so that the device never waits; logged now and then.

A loss or a state that is not finite ends the run here, before it is saved.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from tljax.core.errors import TljaxError
from tljax.core.layer_groups import Groups, stage_of
from tljax.core.trees import flatten
from tljax.reporting.report import Report
from tljax.training import plan_rates
from tljax.training.job import Job
from tljax.training.parallel import Parallel
from tljax.training.train_state import TrainState

MOST = 100  # steps whose metrics wait on the device: so late a loss that is not finite is seen


class StepLog:
    """What is logged of every `train.log_steps`-th step; the loss of every one must be finite."""

    def __init__(self, job: Job, parallel: Parallel, report: Report) -> None:
        self._job, self._parallel, self._report = job, parallel, report
        self._waiting: list[tuple[int, Any]] = []  # (updates done, metrics on the devices)

    def add(self, step: int, metrics: Any, state: Callable[[], TrainState]) -> None:
        """Keep the metrics of a step that may still be computed; look at those before it where it is time to.

        Args:
          step: updates that are done with it.
          state: gives the state on the host, for an error to say what of it is not finite.
        """
        if self._waiting and (self._is_logged(self._waiting[-1][0]) or len(self._waiting) >= MOST):
            self.flush(state)
        self._waiting.append((step, metrics))

    def flush(self, state: Callable[[], TrainState]) -> None:
        """Look at all that wait, and log those that are to be logged.

        Raises:
          TljaxError: a loss is not finite.
        """
        waiting, self._waiting = self._waiting, []
        shown = [m if self._is_logged(s) else {k: m[k] for k in ("loss", "grad_norm") if k in m} for s, m in waiting]
        for (step, _), found in zip(waiting, self._parallel.get(shown), strict=True):
            values = {name: float(value) for name, value in found.items()}
            if not math.isfinite(values["loss"]):
                self._raise(step, values, state())
            if self._is_logged(step):
                rates = plan_rates.rate_at(self._job.phases, self._job.steps, self._job.config.optimizer, step - 1)
                self._report.metrics(step, "train", values | {f"lr/{group}": rate for group, rate in rates.items()})

    def check(self, state: TrainState) -> None:
        """Raise TljaxError where a state (on the host) is none to evaluate or to save."""
        if bad := faults(state, self._job.groups):
            raise TljaxError(
                f"What is learned must be finite; after step {int(state.step)} there is NaN or infinity in: "
                f"{_shown(bad)}. {self._report.diverged(int(state.step), bad)}"
            )

    def _raise(self, step: int, values: dict[str, float], state: TrainState) -> None:
        bad = faults(state, self._job.groups)
        norm = f", the norm of the gradients {values['grad_norm']}" if "grad_norm" in values else ""
        where = f"NaN or infinity is now in: {_shown(bad)}. " if bad else ""
        raise TljaxError(
            f"The training loss must be finite; at step {step} it is {values['loss']}{norm}. {where}"
            f"{self._report.diverged(step, bad)}"
        )

    def _is_logged(self, step: int) -> bool:
        return not step % self._job.config.train.log_steps or step in self._job.ends


def faults(state: TrainState, groups: Groups) -> list[str]:
    """What of a state (on the host) is not finite: names of groups, and what holds their statistics or moments.

    An optimizer may hold infinities, as the lowest loss so far before there is one; NaN it may not.
    """
    params, stats = flatten(state.params), flatten(state.model_state)
    bad = [group for group, paths in groups.items() if not all(_finite(params[path]) for path in paths)]
    stages = [stage_of(path.partition("/")[2]) for path, x in stats.items() if not _finite(x)]
    bad += [f"statistics of {stage}" for stage in dict.fromkeys(stages)]
    inner = getattr(state.opt_state, "inner_states", {})
    bad += [f"optimizer state of {group}" for group, kept in inner.items() if any(map(_nan, jax.tree.leaves(kept)))]
    return bad


def _finite(x: Any) -> bool:
    return bool(np.isfinite(np.asarray(x)).all())


def _nan(x: Any) -> bool:
    x = np.asarray(x)
    return x.dtype.kind not in "biu" and bool(np.isnan(x).any())


def _shown(names: Sequence[str]) -> str:
    """For people: the first ten."""
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(names[:10]) + more
