"""How long a run takes, from a step that is measured, and as many steps as fit into `train.minutes`."""

import dataclasses
import json
import time
from collections.abc import Sequence

import jax

from tljax.core.processes import agreement
from tljax.reporting.report import Report
from tljax.training.devices import memory
from tljax.training.job import Job
from tljax.training.parallel import Parallel, Program
from tljax.training.train_state import TrainState
from tljax.training.views import View

FILE = "budget.json"
STEPS = 3  # that are measured, after one that is not
FORWARD = 0.4  # of a step's seconds: an evaluation of as many examples (forward is about a third of forward and back)
RESERVE = 20.0  # seconds for what comes after training: model/, figures, the page
LEAST = 20  # steps below which what is reached says little


@dataclasses.dataclass(frozen=True)
class Price:
    """What a run costs here."""

    step: float  # seconds a step, mean over the plan
    evaluation: float  # seconds of one evaluation of the part that chooses the epoch
    final: float  # seconds of the last evaluations, of all parts
    plan: memory.Plan  # of the largest step

    def a_step(self, job: Job) -> float:
        """Seconds of a step, with its share of the evaluations that are due."""
        return self.step + self.evaluation / max(1.0, job.config.train.eval_epochs * job.steps_per_epoch)

    def seconds(self, job: Job) -> float:
        """From the first step to the end."""
        return job.steps * self.a_step(job) + self.final + RESERVE


def measure(job: Job, views: Sequence[View], initial: TrainState, devices: Parallel, report: Report) -> Price:
    """Compile and time the step of every phase; features that are cached are computed."""
    total, largest, before, entered = 0.0, memory.Plan(), 0, initial
    for index, (view, end) in enumerate(zip(views, job.ends, strict=True)):
        view.fill()
        one = dataclasses.replace(job, network=view.network, prepare=view.prepare)
        program = Program(one.step(index), devices, lambda index=index: report.compiling(f"phase {index + 1}"))
        entered = job.enter(index, entered, devices.compute)
        state = devices.put_state(entered)
        seconds = []
        for batch in view.training.stream(0, STEPS + 1):
            on_device = devices.put_batch(batch)
            step = program.compiled(state, on_device, donate=True)  # as training does: else it needs more memory
            began = time.monotonic()
            state, _ = step(state, on_device)
            jax.block_until_ready(state)
            seconds.append(time.monotonic() - began)
        total += (end - before) * sum(seconds[1:]) / STEPS
        largest, before = max(largest, program.plan, key=lambda one: one.total), end
    step = total / job.ends[-1]
    view, train = views[-1], job.config.train
    an_example = FORWARD * step / train.batch_size
    validation = len(view.selection.evaluation.pictures) if view.selection else 0
    every = sum(len(part.pictures) for part in view.evaluations.values())
    return Price(step, validation * an_example, every * an_example, largest)


def steps(job: Job, views: Sequence[View], initial: TrainState, devices: Parallel, report: Report) -> int:
    """As many of the job's steps as fit into what is left of `train.minutes`. A run that has begun keeps its number.

    Several processes measure together, and take what process 0's clock says.
    """
    config, planned = job.config, job.steps
    fit = agreement.told(lambda: report.stored(FILE))
    when = " (as it was measured when this run began)" if fit else ""
    if fit is None:
        price = measure(job, views, initial, devices, report)
        left = 60 * config.train.minutes - report.seconds - price.final - RESERVE
        fits = int(left / price.a_step(job))
        mine = {"steps": max(1, min(planned, fits)), "wanted": planned, "seconds a step": round(price.step, 4)}
        fit = agreement.told(lambda: mine)
    report.keep(FILE, json.dumps(fit, indent=2))
    sentence = f"a step takes {fit['seconds a step']:.3g} s{when}; {fit['steps']:,} of {fit['wanted']:,} steps fit"
    report.say(f"time: at most {config.train.minutes:g} min: {sentence}")
    if fit["steps"] < min(LEAST, planned):
        report.say(f"warning: {few(fit['steps'])}: give more minutes, or a smaller --size, or --strategy linear_probe")
    return fit["steps"]


def few(steps: int) -> str:
    """What is to be said of so many steps, where the time allowed no more; "" for enough."""
    return f"so few steps ({steps}) teach little" if steps < LEAST else ""
