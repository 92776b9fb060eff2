"""A learning-rate range test: the training loss while the rate rises exponentially, and a suggested rate.

Smith 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3. From Gugger 2018, "How Do You Find A
Good Learning Rate", and fastai's `lr_find`: the exponential rise, the smoothed loss, the end at four times the lowest
loss, and both rules for the suggestion.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from tljax.core import overrides
from tljax.core.types import Phase, Record, Tree
from tljax.data.batches import Training
from tljax.data.paired_batches import Paired
from tljax.training import group_settings
from tljax.training.job import Job
from tljax.training.parallel import Parallel
from tljax.training.train_state import TrainState

DIVERGED = 4.0  # a sweep ends at this many times the lowest smoothed loss
SMOOTHING = 0.9  # decay of the running mean; fastai's 0.98 would lag by half of 100 steps
SETTLED = 10  # steps until the running mean has a useful slope
RULES = {
    "minimum / 10": "a tenth of the rate at the lowest smoothed loss: at the lowest itself the loss is about to rise",
    "steepest": "the rate at which the smoothed loss falls fastest over the logarithm of the rate",
}
RULE = "minimum / 10"  # the suggestion; "steepest" may lie just before the loss diverges


@dataclasses.dataclass(frozen=True)
class Sweep:
    """The result of a sweep."""

    rates: list[float]
    losses: list[float]  # for each rate, the loss before the update with it; finite
    ended: str  # why the sweep ended before the highest rate; "" if it did not

    def as_json(self) -> Record:
        """The result, with the smoothed losses, the suggestion of every rule, and doubts about them."""
        smoothed, rates = smooth(self.losses), suggestions(self)
        more = {"smoothed": smoothed.tolist(), "suggestions": rates, "suggestion": rates.get(RULE)}
        return dataclasses.asdict(self) | more | {"doubts": doubts(self)}


def job_of(job: Job, scales: Mapping[str, float], rates: Sequence[float]) -> Job:
    """`job` with one phase of one step for each rate; a group of scale 1 learns at `rates`, a geometric series.

    In a sweep, a group keeps its own optimizer and decay, but not its own rate and schedule.
    """
    group_settings.check_names(job.config.optimizer, job.groups)
    changes = (
        f"optimizer.lr={rates[0]!r}",
        "optimizer.schedule=exponential",
        f"optimizer.schedule_kwargs={{'end': {rates[-1] / rates[0]!r}}}",
        "optimizer.warmup=0",
        f"optimizer.groups={group_settings.without_rates(job.config.optimizer)!r}",
    )
    config = overrides.apply(job.config, changes)
    return dataclasses.replace(job, phases=(Phase("sweep", 1.0, scales),), steps=len(rates), config=config)


def run(job: Job, start: TrainState, training: Training | Paired, devices: Parallel, rates: Sequence[float]) -> Sweep:
    """Take a step at every rate, from a copy of `start`, until the loss diverges.

    Args:
      job: from `job_of`.
      rates: plain numbers.
    """
    state: Tree = devices.put_state(job.enter(0, start, devices.compute))
    compiled, losses, ended = None, [], ""
    for host_batch in training.stream(0, len(rates)):
        batch = devices.put_batch(host_batch)
        compiled = compiled or devices.compile(job.step(0), state, batch, donate=True)
        state, metrics = compiled(state, batch)
        loss = float(devices.get(metrics)["loss"])
        losses += [loss] if math.isfinite(loss) else []
        if ended := diverged(losses) if math.isfinite(loss) else f"the loss is {loss}":
            break
    return Sweep(list(rates[: len(losses)]), losses, ended)


def diverged(losses: Sequence[float]) -> str:
    """Why a sweep must end after these losses; "" if it goes on."""
    smoothed = smooth(losses)
    if smoothed[-1] > DIVERGED * smoothed.min():
        return f"the smoothed loss is {smoothed[-1]:.3g}, over {DIVERGED:g} times its lowest, {smoothed.min():.3g}"
    return ""


def smooth(losses: Sequence[float]) -> np.ndarray:
    """The running mean with bias correction (as in Adam, Kingma & Ba 2015, section 3)."""
    mean, smoothed = 0.0, []
    for count, loss in enumerate(losses, start=1):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        smoothed.append(mean / (1 - SMOOTHING**count))
    return np.array(smoothed)


def suggestions(sweep: Sweep) -> dict[str, float]:
    """Rule -> rate; {} if the sweep ended before step SETTLED."""
    smoothed, rates = smooth(sweep.losses), np.array(sweep.rates)
    if len(smoothed) <= SETTLED:
        return {}
    lowest = SETTLED + int(smoothed[SETTLED:].argmin())
    slopes = np.gradient(smoothed, np.log(rates))[SETTLED : lowest + 1]
    return {"minimum / 10": float(rates[lowest] / 10), "steepest": float(rates[SETTLED + int(slopes.argmin())])}


def doubts(sweep: Sweep) -> list[str]:
    """Reasons to doubt the suggestions, for the user."""
    if not suggestions(sweep):
        return [f"it ended after {len(sweep.losses)} steps, too few to say anything: lower --min"]
    smoothed = smooth(sweep.losses)
    lowest, noise = smoothed.min(), float(np.std(sweep.losses[:SETTLED]))
    notes = []
    if lowest > smoothed[SETTLED - 1] - noise:
        notes.append("the loss falls by less than its noise: more --steps, or there is nothing to learn at these rates")
    if not sweep.ended and lowest == smoothed[-1]:
        notes.append("the loss still falls at the highest rate: raise --max")
    return notes
