"""The report of every process but the first: it writes nothing. Their standard output leads nowhere (`joining`)."""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ml_collections import ConfigDict

from tljax.core.experiment import Experiment
from tljax.core.processes import agreement
from tljax.core.types import Json, Record
from tljax.reporting.report import Report, check_finite
from tljax.reporting.terminal import Screen


class Silent(Report):
    """In the place of `Report`; what process 0 finds in the folder comes by `agreement.told`."""

    def __init__(self, folder: Path) -> None:
        Screen.__init__(self)
        self.folder, self.sound_step = folder, 0

    @contextlib.contextmanager
    def opened(self, checksums: Json) -> Iterator[None]:
        del checksums
        yield

    @property
    def seconds(self) -> float:
        return 0.0  # process 0's clock counts

    def deadline(self, minutes: float) -> float:
        del minutes
        return math.inf

    def keep(self, name: str, text: str) -> None:
        pass

    def begin(self, config: ConfigDict, experiment: Experiment) -> None:
        pass

    def plan(self, tables: Sequence[tuple[str, Sequence[str], Sequence[Sequence[str]]]], chart: Record) -> None:
        pass

    @contextlib.contextmanager
    def training(self, step: int, steps: int, *, seconds: float, evaluated: bool = True) -> Iterator[None]:
        del step, steps, seconds, evaluated
        yield

    def sync(self) -> None:
        pass

    def diverged(self, step: int, bad: Sequence[str], ran_away: int) -> str:
        del step, bad, ran_away
        return "Process 0 says how it goes on."

    def advance(self, step: int) -> None:
        pass

    def metrics(self, step: int, part: str, values: dict[str, float]) -> None:
        check_finite(step, part, values)

    def finish(self, result: Record, totals: Json, files: Callable[..., None]) -> Record:
        raise AssertionError(f"process 0 finishes: {result.keys(), totals.keys(), files}")


def of(folder: Path, config: ConfigDict, *, best: str) -> Report:
    """The report of this process; see `Report` for what it raises."""
    return Report(folder, config, best=best) if agreement.first() else Silent(folder)
