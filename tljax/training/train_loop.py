"""The training loop: when a run takes a step, logs, evaluates and saves; nothing else."""

import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import jax
import numpy as np

from tljax.core import signals
from tljax.core.errors import WeightsError
from tljax.core.processes import agreement
from tljax.core.processes.deadline import Deadline
from tljax.core.types import Batch, Mode, Record, Tree, Variables
from tljax.reporting import throughput
from tljax.reporting.report import Report
from tljax.training import norm_statistics
from tljax.training.checkpoints.checkpoint import Checkpoints, Progress
from tljax.training.devices import memory
from tljax.training.devices.tracing import Trace
from tljax.training.job import Job
from tljax.training.parallel import Parallel, Program
from tljax.training.step_log import StepLog
from tljax.training.train_state import TrainState
from tljax.training.views import View


@dataclasses.dataclass(frozen=True)
class Trained:
    """The result of training."""

    state: TrainState  # the best, or the last if there is no selection; as `Parallel.to_save` has it
    seconds: float  # of training, over all starts of this run, without compiling and saving
    step_bytes: int  # memory of the largest step: `memory.Plan.total`
    throughput: dict[str, float]  # from `throughput.summary`
    oracle: dict[str, Record]  # target -> its best metric by its own labels, and "step"


@dataclasses.dataclass(eq=False)
class Loop:
    """One run of a job on these devices, in this folder."""

    job: Job
    views: Sequence[View]  # one for each phase
    parallel: Parallel
    checkpoints: Checkpoints
    report: Report
    deadline: Deadline = dataclasses.field(default_factory=Deadline)  # the step at which it has passed is the last

    def fit(self, start: TrainState) -> Trained:
        """Train from `start`, or from the latest checkpoint."""
        self._check_room(start)
        state, progress = self._resume(start)
        at, evaluated = int(state.step), not progress.owed
        self._trace.begun(at)
        training = self.report.training(at, self.job.steps, seconds=progress.seconds, evaluated=evaluated)
        with training, contextlib.closing(self._trace):
            for index, end in enumerate(self.job.ends):
                step = int(state.step)
                if (step < end or (step == end and progress.owed)) and not progress.stopped:
                    if step == (self.job.ends[index - 1] if index else 0):
                        state, progress.since_best = self.job.enter(index, state, self.parallel.compute), 0
                    state = self._run_phase(index, state, progress)
        examples = int(state.step) * self.job.config.train.batch_size
        speed = throughput.summary(examples, progress.seconds, progress.tokens, progress.places)
        best_state = self._kept(state, start, progress)
        return Trained(best_state, progress.seconds, progress.step_bytes, speed, progress.oracle)

    def _kept(self, last: TrainState, start: TrainState, progress: Progress) -> TrainState:
        """The best state, or the last if there is no selection."""
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
        """The variables for evaluation (`Job.variables`), on the devices; for averaged weights, BatchNorm statistics
        are measured again, and all of them on the target if the adaptation asks for it.
        """
        variables, step, view = self._variables(state), int(self.parallel.get(state.step)), self.views[-1]
        mode = Mode(True) if view.statistics else self.job.mode_until(step)
        if not view.statistics and (not self.job.is_mean(step) or not norm_statistics.moving(variables, mode)):
            return variables
        examples = view.statistics or view.training
        return self._measured(mode)(variables, state.rng, examples.stream(0, examples.steps_to_all))

    @functools.cached_property
    def _trace(self) -> Trace:
        steps = self.job.config.profile if agreement.first() else ""
        return Trace(steps, self.report.folder, self.report.say)

    @functools.cached_property
    def _log(self) -> StepLog:
        return StepLog(self.job, self.parallel, self.report)

    @functools.cached_property
    def _variables(self) -> Callable[[TrainState], Variables]:
        """`Job.variables`, compiled once if it changes anything."""
        return self.parallel.each(self.job.variables) if self.job.changes else TrainState.variables

    @functools.cache  # noqa: B019, a loop lives as long as its run
    def _measured(self, mode: Mode) -> Callable[..., Variables]:
        view, say = self.views[-1], partial(self.report.compiling, "BatchNorm statistics")

        def prepare(batch: Batch, key: jax.Array, train: bool) -> Tree:
            return view.prepare(self.job.alignment.inputs(batch), key, train and not view.statistics)

        return norm_statistics.measured(view.network, prepare, mode, self.parallel, say)

    def _check_room(self, start: TrainState) -> None:
        """Raise WeightsError if the disk has no room for the checkpoints of the largest phase."""
        leaves = [jax.tree.leaves(self.job.at(end, start)) for end in self.job.ends]
        largest = max(sum(int(np.prod(x.shape)) * x.dtype.itemsize for x in some) for some in leaves)
        self.checkpoints.check_room(largest, best=any(view.selection for view in self.views))

    def _resume(self, start: TrainState) -> tuple[TrainState, Progress]:
        """The state and progress of the latest checkpoint, with its best checkpoint; else the start."""
        restored = self.checkpoints.restore("latest", lambda step: self.job.at(step, start))
        sound = agreement.told(lambda: self.report.sound_step)
        if restored and 0 < sound < int(restored[0].step):
            restored = self._before_it_ran_away(sound, start)
        state, progress = restored or (start, Progress())
        # "latest" is written first: after a kill it may name a best step whose checkpoint was not written.
        self.checkpoints.forget("best", after=progress.best_step)
        if progress.best_step == int(state.step):
            self.checkpoints.save("best", state, progress)
        elif progress.best_step not in [-1, *self.checkpoints.steps("best")]:
            self.report.say(
                f"the best checkpoint (step {progress.best_step}) is gone; from here on a new best is chosen"
            )
            progress.best, progress.best_step = float("-inf"), -1
        return state, progress

    def _before_it_ran_away(self, step: int, start: TrainState) -> tuple[TrainState, Progress] | None:
        """The last checkpoint until `step`, for a run that goes on at another rate; later ones are deleted. None if
        there is none: it begins again.
        """
        self.checkpoints.forget("latest", after=step)
        restored = self.checkpoints.restore("latest", lambda at: self.job.at(at, start))
        where = (
            f"the checkpoint of step {int(restored[0].step)}" if restored else "the beginning: no checkpoint is older"
        )
        self.report.say(f"the loss ran away after step {step}: at the new rate the run goes on from {where}")
        return restored

    def _run_phase(self, index: int, state: TrainState, progress: Progress) -> TrainState:
        """Train from the step of `state` to the end of the phase, or until early stopping.

        Signals are held meanwhile: one that ends the run raises Stopped after the state of its step has been saved.
        """
        view = self.views[index]
        self._log.ran_away = progress.ran_away
        view.fill()
        on_device = self.parallel.put_state(state)
        current = _Current(on_device, int(state.step), began=self._clock(), saved=time.monotonic())
        with signals.held():
            try:
                if progress.owed:
                    self._finish_step(index, current, progress)
                if not progress.stopped:
                    self._steps(index, current, progress)
            except signals.Stopped as stop:
                self._save(current, progress)
                self.report.say(f"stopped by {stop} after step {current.step}, which is saved")
                raise
        return self.parallel.to_save(current.state)

    def _steps(self, index: int, current: "_Current", progress: Progress) -> None:
        """Take every step of the phase, and do what is due after each."""
        view, end, train = self.views[index], self.job.ends[index], self.job.config.train
        job = dataclasses.replace(self.job, network=view.network, prepare=view.prepare)
        say = partial(self.report.compiling, f"phase '{job.phases[index].name}'")
        program = Program(job.step(index), self.parallel, say)
        for step, batch, (tokens, places) in self._batches(view, current.step, end):
            train_step = program.compiled(current.state, batch, donate=True)
            self._note_memory(program.plan, progress)
            signals.poll()
            self._trace.before(step + 1)
            with jax.transfer_guard("disallow"):
                current.state, metrics = train_step(current.state, batch)
            current.step = step + 1
            self._trace.after(current.step, current.state)
            progress.tokens, progress.places = progress.tokens + tokens, progress.places + places
            late = self.deadline.passed()
            progress.owed = job.due(current.step, train.eval_epochs) or current.step == end or late
            progress.stopped = progress.stopped or late
            self._log.add(current.step, metrics, partial(self.parallel.get_state, current.state))
            self.report.advance(current.step)
            self._finish_step(index, current, progress)
            if progress.stopped:
                self.report.say(self._why_stopped(current.step, progress, late=late))
                return

    def _note_memory(self, planned: memory.Plan, progress: Progress) -> None:
        if planned.total > progress.step_bytes:
            progress.step_bytes = planned.total
            if most := memory.limit():
                self.report.say(f"memory: a step needs {planned}, which has {memory.mebibytes(most)}")

    def _why_stopped(self, step: int, progress: Progress, *, late: bool) -> str:
        where = f"training ends at step {step} of {self.job.steps}"
        if late:
            return f"{where}: the time of config.train.minutes is up, and the learning rate has not come down yet"
        return f"{where}: no better validation result in {progress.since_best} evaluations (config.train.patience)"

    def _finish_step(self, index: int, current: "_Current", progress: Progress) -> None:
        """Evaluate and save if that is due."""
        end, train, better = self.job.ends[index], self.job.config.train, False
        signals.poll()
        if progress.owed:
            last = index == len(self.job.ends) - 1
            better = self._evaluate(self.views[index], current, progress, last=last)
            progress.owed = False
        due = self.job.due(current.step, train.checkpoint_epochs) or current.step == end or signals.save_asked()
        late = train.checkpoint_minutes and time.monotonic() - current.saved > 60 * train.checkpoint_minutes
        if late and self.parallel.share.count > 1:  # clocks differ: all save at the step that they agree on
            current.saved, late = time.monotonic(), False
            if agreement.first():
                signals.wish_save()
        if better or progress.stopped or due or late:
            self._save(current, progress, better=better)

    def _clock(self) -> float:
        """Seconds, without those in which XLA compiles."""
        return time.monotonic() - self.report.compile_seconds

    def _batches(self, view: View, first: int, end: int) -> Iterator[tuple[int, Batch, tuple[int, int]]]:
        """(step, batch on the devices, `throughput.places` of it); the next is on its way while a step computes."""
        ahead = None
        for step, batch in zip(range(first, end), view.training.stream(first, end), strict=True):
            now, ahead = ahead, (step, self.parallel.put_batch(batch), throughput.places(batch))
            if now:
                yield now
        if ahead:
            yield ahead

    def _save(self, current: "_Current", progress: Progress, *, better: bool = False) -> None:
        """Save the state, which must be finite. Waiting for the devices to compute it counts as training time."""
        jax.block_until_ready(current.state)
        progress.seconds += self._clock() - current.began
        self._log.flush(partial(self.parallel.get_state, current.state))
        progress.ran_away = self._log.ran_away
        state = self.parallel.to_save(current.state)
        self._log.check(state)
        self.report.sync()
        for kind in ("latest", "best") if better else ("latest",):  # this order matters: see `_resume`
            self.checkpoints.save(kind, state, progress)
        current.began, current.saved = self._clock(), time.monotonic()

    def _evaluate(self, view: View, current: "_Current", progress: Progress, *, last: bool) -> bool:
        """Evaluate for the selection; returns whether the state is the best. Patience ends the last phase only."""
        if view.selection is None and not view.oracle:
            return False
        self._log.flush(partial(self.parallel.get_state, current.state))
        self._log.check(self.parallel.to_save(current.state))
        variables = self.variables(current.state)
        # Everything is computed before anything is recorded, so that a signal in between does not leave a half record.
        by_target = {name: view.evaluator(variables, evaluation) for name, evaluation in view.oracle.items()}
        values, score = view.selection(variables) if view.selection else ({}, 0.0)
        self._note_oracle({name: self.job.task.summarize(sums) for name, sums in by_target.items()}, current, progress)
        if view.selection is None:
            return False
        self.report.metrics(current.step, view.selection.part, values)
        if score > progress.best:
            progress.best, progress.best_step, progress.since_best = score, current.step, 0
            return True
        progress.since_best += 1
        patience = self.job.config.train.patience
        progress.stopped = progress.stopped or (last and bool(patience) and progress.since_best >= patience)
        return False

    def _note_oracle(self, metrics: dict[str, dict[str, float]], current: "_Current", progress: Progress) -> None:
        """Record the best epoch by each target's own labels. It is only reported, not used for a choice."""
        metric = self.job.task.BEST_METRIC
        for target, values in metrics.items():
            self.report.metrics(current.step, f"oracle {target}", values)
            if target not in progress.oracle or values[metric] > progress.oracle[target][metric]:
                progress.oracle[target] = {metric: values[metric], "step": current.step}


@dataclasses.dataclass
class _Current:
    """The current point of a phase."""

    state: Tree  # on the devices
    step: int  # number of updates in `state`
    began: float  # `Loop._clock` since which training time has not been added yet
    saved: float  # when the last checkpoint was written, or the phase began
