"""The learning rate of every group over the run, from phases and a schedule, as functions and as data."""

import itertools
from collections.abc import Sequence

import numpy as np
from ml_collections import ConfigDict

from tljax.core.errors import ConfigError
from tljax.core.types import Phase, Record
from tljax.training import group_settings, schedules
from tljax.training.group_settings import Setting
from tljax.training.schedules import Rate

COLUMNS = 120  # columns of the chart's data, besides the ends of phases


def step_ends(phases: Sequence[Phase], steps: int) -> tuple[int, ...]:
    """The step at which each phase ends; the last one is `steps`."""
    ends = tuple(round(phase.until * steps) for phase in phases)
    if ends[-1] != steps or list(ends) != sorted(ends):
        raise ConfigError(f"Phases must end in order and the last at 1.0; got {[p.until for p in phases]}.")
    return ends


def rates(phases: Sequence[Phase], steps: int, config: ConfigDict) -> list[dict[str, Rate]]:
    """For every phase, the learning rate of each learning group, as a function of its optimizer's count.

    A rate that never changes is a number, because some optimizers (rprop, sm3) do not accept a schedule.
    """
    ends = step_ends(phases, steps)
    table = []
    for phase, begins in zip(phases, begun(phases, ends), strict=True):
        row: dict[str, Rate] = {}
        for g in phase.learning:
            setting = group_settings.of(config, g)
            peaks = setting.rates(other.scales[g] for other in phases)
            steady = setting.schedule == "constant" and not config.warmup and len(set(peaks) - {0.0}) == 1
            row[g] = max(peaks) if steady else schedules.in_phases(schedule(setting, steps), peaks, ends, begins[g])
        table.append(row)
    return table


def schedule(setting: Setting, steps: int) -> schedules.Schedule:
    """A group's schedule over the run."""
    return schedules.make(setting.schedule, steps, warmup=setting.warmup, kwargs=setting.schedule_kwargs)


def begun(phases: Sequence[Phase], ends: Sequence[int]) -> list[dict[str, int]]:
    """For every phase, the step since which each learning group has learned without a break."""
    table: list[dict[str, int]] = []
    for i, phase in enumerate(phases):
        before, begin = (table[-1], ends[i - 1]) if i else ({}, 0)
        table.append({group: before.get(group, begin) for group in phase.learning})
    return table


def rate_at(phases: Sequence[Phase], steps: int, config: ConfigDict, step: int) -> dict[str, float]:
    """The learning rate of every group at `step`, 0 where frozen: for tables and logs."""
    ends = step_ends(phases, steps)
    index = sum(step >= end for end in ends[:-1])
    factors: dict[tuple[str, str], float] = {}  # schedule -> its factor; most groups share one
    rates = {}
    for group, scale in phases[index].scales.items():
        setting = group_settings.of(config, group)
        key = (setting.schedule, str(setting.schedule_kwargs))
        if scale and key not in factors:
            factors[key] = float(schedule(setting, steps)(step))
        peaks = setting.rates(phase.scales[group] for phase in phases)
        rates[group] = factors[key] * peaks[index] if scale else 0.0
    return rates


def chart(phases: Sequence[Phase], steps: int, epochs: float, config: ConfigDict) -> Record:
    """Every group's learning rate over the run, as JSON data.

    Args:
      config: config.optimizer.

    Returns:
      `edges` of the columns in epochs (N + 1, from 0 to the end); `rates`: group -> (N) rates at the middle
      step of each column, None if the group is frozen; `phases` with the epochs of their beginning and end.
    """
    ends = step_ends(phases, steps)
    cuts = np.linspace(0, steps, COLUMNS + 1).round().astype(int)
    edges = sorted({*cuts.tolist(), *ends})
    middles = [(low + high - 1) // 2 for low, high in itertools.pairwise(edges)]
    awake = [phases[sum(step >= end for end in ends[:-1])].learning for step in middles]
    rates = [rate_at(phases, steps, config, step) for step in middles]
    begins = (0, *ends[:-1])
    return {
        "steps": steps,
        "epochs": epochs,
        "edges": [edge / steps * epochs for edge in edges],
        "rates": {
            group: [rate[group] if group in learning else None for rate, learning in zip(rates, awake, strict=True)]
            for group in phases[0].scales
        },
        "phases": [
            {"name": phase.name, "from": begin / steps * epochs, "until": end / steps * epochs}
            for phase, begin, end in zip(phases, begins, ends, strict=True)
        ],
    }
