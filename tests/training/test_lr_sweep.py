"""The sweep: which rates it takes, where it ends, and what it suggests, on losses made by hand."""

import json

import numpy as np
import pytest

from tests import small
from tljax.core.types import Phase
from tljax.training import lr_sweep, plan_rates
from tljax.training.job import Job
from tljax.training.lr_sweep import Sweep

RATES = np.geomspace(1e-5, 10, 61).tolist()  # ten a decade


class Losses:
    """Stands for a job, its batches and the devices: step i returns the i-th loss."""

    def __init__(self, losses):
        self.losses, self.taken = losses, 0

    def enter(self, index, start, compute):
        return start

    def compute(self, function, tree):
        return function(tree)

    def step(self, index):
        return None

    def stream(self, start, stop):
        return iter(range(start, stop))

    def put_state(self, state):
        return state

    put_batch = get = put_state

    def compile(self, step, state, batch, *, donate):
        def take(state, batch):
            self.taken += 1
            return state, {"loss": self.losses[batch]}

        return take


def swept(losses):
    fake = Losses(losses)
    return lr_sweep.run(fake, None, fake, fake, RATES[: len(losses)]), fake


def valley(lowest):
    """1 until 1e-3, then down to 0.1 at index `lowest`, then up again: in equal steps."""
    return [float(np.interp(i, [20, lowest, lowest + 20], [1.0, 0.1, 3.0])) for i in range(61)]


def test_the_running_mean_by_hand():
    assert lr_sweep.smooth([2.0, 1.0]) == pytest.approx([2.0, (0.9 * 0.1 * 2 + 0.1 * 1) / (1 - 0.81)])
    assert lr_sweep.smooth([3.0] * 40) == pytest.approx([3.0] * 40)
    assert len(lr_sweep.smooth([])) == 0


def test_it_ends_at_four_times_the_lowest():
    losses = [1.0] * 30 + [100.0] * 20
    found, fake = swept(losses)
    assert fake.taken == len(found.losses) == len(found.rates) == 31
    assert found.ended == "the smoothed loss is 11.3, over 4 times its lowest, 1"  # 1 + 99 x 0.1 / (1 - 0.9^31)
    found, fake = swept([1.0] * 30 + [2.0] * 20)
    assert fake.taken == 50 and found.ended == ""


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_it_ends_where_the_loss_is_not_finite(bad):
    found, fake = swept([1.0] * 20 + [bad] + [1.0] * 20)
    assert fake.taken == 21 and found.losses == [1.0] * 20 and found.rates == RATES[:20]
    assert found.ended == f"the loss is {bad}"
    json.dumps(found.as_json(), allow_nan=False)
    nothing = swept([bad] * 3)[0].as_json()
    assert nothing["suggestion"] is None and "too few to say anything" in nothing["doubts"][0]


def test_suggestions_by_the_lowest_and_the_steepest():
    found, _ = swept(valley(40))
    smoothed = lr_sweep.smooth(found.losses)
    lowest = int(smoothed.argmin())
    assert 40 <= lowest <= 45  # the running mean lags
    rates = lr_sweep.suggestions(found)
    assert rates["minimum / 10"] == pytest.approx(RATES[lowest] / 10)
    steepest = RATES.index(rates["steepest"])
    falls = -np.diff(smoothed[: lowest + 1])
    assert falls[steepest - 1] + falls[steepest] == pytest.approx(max(falls[1:] + falls[:-1]))
    assert found.as_json()["suggestion"] == rates[lr_sweep.RULE] and lr_sweep.doubts(found) == []


def test_doubts():
    rng = np.random.default_rng(0)
    flat = Sweep(RATES, (1 + 0.1 * rng.normal(size=61)).tolist(), "the loss is nan")
    assert ["the loss falls by less than its noise" in doubt for doubt in lr_sweep.doubts(flat)] == [True]
    falling = Sweep(RATES, np.linspace(2, 1, 61).tolist(), "")
    assert lr_sweep.doubts(falling) == ["the loss still falls at the highest rate: raise --max"]


def test_the_job_of_a_sweep_learns_at_its_rates():
    config = small.config(optimizer__schedule="cosine", optimizer__warmup=0.3)
    groups = {"low": ["backbone/a/kernel"], "head": ["head/kernel"]}
    phases = (Phase("head", 0.5, {"low": 0.0, "head": 1.0}), Phase("all", 1.0, {"low": 0.1, "head": 1.0}))
    job = Job(None, None, None, groups, phases, 7, config, None)
    swept_job = lr_sweep.job_of(job, {"low": 0.1, "head": 1.0}, RATES)
    for step in (0, 1, 30, 60):
        found = plan_rates.rate_at(swept_job.phases, swept_job.steps, swept_job.config.optimizer, step)
        assert found == pytest.approx({"low": 0.1 * RATES[step], "head": RATES[step]}, rel=1e-5)
    assert swept_job.ends == (61,) and config.optimizer.schedule == "cosine"
