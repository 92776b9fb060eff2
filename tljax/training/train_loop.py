"""Step, log, evaluate, save: every timing rule of a run, and nothing else."""

import dataclasses
import functools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import jax

from tljax.core.errors import TljaxError, WeightsError
from tljax.core.types import Batch, Mode, Variables
from tljax.reporting import throughput
from tljax.reporting.report import Report
from tljax.training import norm_statistics, plan_rates
from tljax.training.checkpoint import Checkpoints, Progress
from tljax.training.job import Job
from tljax.training.parallel import Parallel, Program
from tljax.training.train_state import TrainState
from tljax.training.views import View


@dataclasses.dataclass(frozen=True)
class Trained:
    """What training found."""

    state: TrainState  # the best, or the last where nothing chooses one; on the host
    seconds: float  # of training, over all starts of this run; in them nothing compiles and nothing is saved
    step_bytes: int  # memory of the largest step: `parallel.step_bytes`
    throughput: dict[str, float]  # as of `throughput.summary`
    oracle: dict[str, dict[str, Any]]  # target -> its best metric by its own labels, and "step"


@dataclasses.dataclass(eq=False)
class Loop:
    """One run of a job on these devices, in this folder."""

    job: Job
    views: Sequence[View]  # one a phase
    parallel: Parallel
    checkpoints: Checkpoints
    report: Report

    def fit(self, start: TrainState) -> Trained:
        """Train from `start`, or from the latest checkpoint."""
        state, progress = self._resume(start)
        with self.report.training(int(state.step), self.job.steps, seconds=progress.seconds):
            for index, end in enumerate(self.job.ends):
                if int(state.step) < end and not progress.stopped:
                    if int(state.step) == (self.job.ends[index - 1] if index else 0):
                        state, progress.since_best = self.job.enter(index, state), 0
                    state = self._run_phase(index, state, progress)
        examples = int(state.step) * self.job.config.train.batch_size
        speed = throughput.summary(examples, progress.seconds, progress.tokens, progress.places)
        kept = self._kept(state, start, progress)
        return Trained(kept, progress.seconds, progress.step_bytes, speed, progress.oracle)

    def _kept(self, last: TrainState, start: TrainState, progress: Progress) -> TrainState:
        """The best state, or the last where nothing chooses one."""
        if self.views[-1].selection is None:
            return last
        best = self.checkpoints.restore("best", lambda step: self.job.at(step, start))
        if best is None or int(best[0].step) != progress.best_step:
            raise WeightsError(
                f"The best epoch was at step {progress.best_step}, and its checkpoint is gone from checkpoints/best. "
                f"Start again in another folder (--workdir)."
            )
        return best[0]

    def variables(self, state: TrainState) -> Variables:
        """What evaluation is given of a state on the devices (`Job.variables`); of a mean, BatchNorm measured anew."""
        found, step = self._variables(state), int(self.parallel.get(state.step))
        mode = self.job.mode_until(step)
        if not self.job.is_mean(step) or not norm_statistics.moving(found, mode):
            return found
        training = self.views[-1].training
        return self._measured(mode)(found, state.rng, training.stream(0, training.steps_to_all))

    @functools.cached_property
    def _variables(self) -> Callable[[TrainState], Variables]:
        """Compiled once where it computes."""
        return self.parallel.each(self.job.variables) if self.job.changes else TrainState.variables

    @functools.cache  # noqa: B019, a loop lives as long as its run
    def _measured(self, mode: Mode) -> Callable[..., Variables]:
        view, say = self.views[-1], partial(self.report.compiling, "BatchNorm statistics")

        def prepare(batch: Batch, key: jax.Array, train: bool) -> Any:
            return view.prepare(self.job.alignment.inputs(batch), key, train)

        return norm_statistics.measured(view.network, prepare, mode, self.parallel, say)

    def _resume(self, start: TrainState) -> tuple[TrainState, Progress]:
        """Where the latest checkpoint left off, with the best one that belongs to it; else the start."""
        restored = self.checkpoints.restore("latest", lambda step: self.job.at(step, start))
        state, progress = restored or (start, Progress())
        # "latest" is written first, so it knows of a best that a kill kept from being written.
        self.checkpoints.forget("best", after=progress.best_step)
        if progress.best_step == int(state.step):
            self.checkpoints.save("best", state, progress)
        elif progress.best_step not in [-1, *self.checkpoints.steps("best")]:
            self.report.say(
                f"the best checkpoint (step {progress.best_step}) is gone; the best is sought anew from here"
            )
            progress.best, progress.best_step = float("-inf"), -1
        return state, progress

    def _run_phase(self, index: int, state: TrainState, progress: Progress) -> TrainState:
        """From the step of `state` to the end of the phase, or to where early stopping ends it."""
        first, end, view = int(state.step), self.job.ends[index], self.views[index]
        view.fill()
        job = dataclasses.replace(self.job, network=view.network, prepare=view.prepare)
        on_device = self.parallel.put_state(state)
        say = partial(self.report.compiling, f"phase '{job.phases[index].name}'")
        program = Program(job.step(index), self.parallel, say)
        pending, began = None, self._clock()
        for step, batch, (tokens, places) in self._batches(view, first, end):
            progress.tokens, progress.places = progress.tokens + tokens, progress.places + places
            train_step = program.compiled(on_device, batch, donate=True)
            progress.step_bytes = max(progress.step_bytes, program.bytes)
            with jax.transfer_guard("disallow"):
                on_device, metrics = train_step(on_device, batch)
            self._log(pending)  # one step late: the device is never waited for while it has work
            pending = (step + 1, metrics)
            self.report.advance(step + 1)
            better = False
            if self.job.due(step + 1, self.job.config.train.eval_epochs) or step + 1 == end:
                better = self._evaluate(view, on_device, step + 1, progress, last=index == len(self.job.ends) - 1)
            due = self.job.due(step + 1, self.job.config.train.checkpoint_epochs) or step + 1 == end
            if better or progress.stopped or due:
                self._log(pending)
                pending = None
                progress.seconds += self._clock() - began
                self._save(on_device, progress, better=better)
                began = self._clock()
            if progress.stopped:
                break
        self._log(pending)
        return self.parallel.get_state(on_device)

    def _clock(self) -> float:
        """Seconds, those in which XLA compiles apart."""
        return time.monotonic() - self.report.compile_seconds

    def _batches(self, view: View, first: int, end: int) -> Iterator[tuple[int, Any, tuple[int, int]]]:
        """(step, batch on the devices, `throughput.places` of it); the next is on its way while a step computes."""
        ahead = None
        for step, batch in zip(range(first, end), view.training.stream(first, end), strict=True):
            now, ahead = ahead, (step, self.parallel.put_batch(batch), throughput.places(batch))
            if now:
                yield now
        if ahead:
            yield ahead

    def _log(self, pending: tuple[int, Any] | None) -> None:
        if pending is None:
            return
        step, metrics = pending
        if step % self.job.config.train.log_steps and step not in self.job.ends:
            return
        values = {name: float(value) for name, value in self.parallel.get(metrics).items()}
        if not math.isfinite(values["loss"]):
            raise TljaxError(
                f"The training loss must be finite; at step {step} it is {values['loss']}. "
                f"Lower config.optimizer.lr, set config.optimizer.clip or config.optimizer.warmup."
            )
        rates = plan_rates.rate_at(self.job.phases, self.job.steps, self.job.config.optimizer, step - 1)
        self.report.metrics(step, "train", values | {f"lr/{group}": rate for group, rate in rates.items()})

    def _save(self, on_device: Any, progress: Progress, *, better: bool) -> None:
        state = self.parallel.get_state(on_device)
        for kind in ("latest", "best") if better else ("latest",):  # in this order: see `_resume`
            self.checkpoints.save(kind, state, progress)

    def _evaluate(self, view: View, state: Any, step: int, progress: Progress, *, last: bool) -> bool:
        """Evaluate what chooses the epoch; whether the state is the best so far. Patience ends the last phase only."""
        if view.selection is None and not view.oracle:
            return False
        variables = self.variables(state)
        self._ask_oracle(view, variables, step, progress)
        if view.selection is None:
            return False
        values, score = view.selection(variables)
        self.report.metrics(step, view.selection.part, values)
        if score > progress.best:
            progress.best, progress.best_step, progress.since_best = score, step, 0
            return True
        progress.since_best += 1
        patience = self.job.config.train.patience
        progress.stopped = last and bool(patience) and progress.since_best >= patience
        return False

    def _ask_oracle(self, view: View, variables: Variables, step: int, progress: Progress) -> None:
        """Note the epoch that is best by each target's own labels. It is reported, and chooses nothing."""
        metric = self.job.task.BEST
        for target, evaluation in view.oracle.items():
            values = self.job.task.summarize(view.evaluator(variables, evaluation))
            self.report.metrics(step, f"oracle {target}", values)
            if target not in progress.oracle or values[metric] > progress.oracle[target][metric]:
                progress.oracle[target] = {metric: values[metric], "step": step}
