"""The report of a run: printed lines, and files for config, plan, metrics and the result."""

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from tljax.core import settings, untrusted
from tljax.core.atomic import make_folder, read_json, sync, write, write_json, writing
from tljax.core.errors import DataError, TljaxError
from tljax.core.experiment import Experiment
from tljax.core.types import Json, Record
from tljax.reporting import figures, plan_chart, run_lines, throughput
from tljax.reporting.run_folder import divergence, environment, inputs, ownership
from tljax.reporting.terminal import Advance, Screen
from tljax.reporting.watchdog import Watchdog
from tljax.reporting.writer import About, Writers


class Report(Screen):
    """The run folder, except its checkpoints and model."""

    def __init__(self, folder: Path, config: ConfigDict, *, best: str) -> None:
        """The folder of this run, new or from an earlier start with the same config; nothing is written yet.

        Args:
          best: the metric to show besides the loss.

        Raises:
          ConfigError: the folder belongs to a run with another config (every difference is listed), or to a suite; or
            there is no such writer.
          DataError: its config.json is damaged.
        """
        super().__init__()
        self.folder = folder
        self._cut: dict[str, int] = {}  # part -> number of texts that are cut
        self._kept: dict[str, str] = {}
        self._began, self._recent = time.monotonic(), {}
        self._watchdog = Watchdog(folder, self.say)
        self._writers = Writers(config.writers)
        self._watched, self._best = ("loss", best), -math.inf
        self._advance: Advance | None = None  # while it trains
        self._config, self._settings = settings.to_json(config), config
        self.sound_step = 0  # the last step before the loss ran away, in a run that goes on at another rate; 0: none
        if changed := ownership.check(folder, self._config):
            self.sound_step = divergence.sound_step(folder)
            self.say("the run had diverged and goes on with another config:\n  " + "\n  ".join(changed))

    @contextlib.contextmanager
    def opened(self, checksums: Json) -> Iterator[None]:
        """Make the folder, after all checks of the input, and lock it for this process.

        Args:
          checksums: of examples and weights, see `run_folder.inputs`; for a resumed run they must be unchanged.

        Raises:
          ConfigError: another process works in the folder.
          DataError, WeightsError: the examples or the weights have changed.
        """
        make_folder(self.folder)
        with ownership.claimed(self.folder):
            before = inputs.check(self.folder, checksums)
            write(self.folder / "config.json", self._config)  # the first file: it marks the folder as a run's
            inputs.write(self.folder, checksums, before, self._settings)
            ownership.sweep(self.folder)
            for note in (*inputs.changes(before), *environment.write(self.folder)):
                self.say(note)
            for name, text in self._kept.items():
                write(self.folder / name, text)
            with contextlib.closing(self._writers):
                yield

    @property
    def seconds(self) -> float:
        """Seconds since this run began; all its starts together once it trains."""
        return time.monotonic() - self._began

    def deadline(self, minutes: float) -> float:
        """The time (`time.monotonic`) at which a run of `minutes` must end its training; 0: no limit."""
        return self._began + 60 * minutes if minutes else math.inf

    def keep(self, name: str, text: str) -> None:
        """Add a file to the folder; it is written when the folder is `opened`."""
        self._kept[name] = text

    def stored(self, name: str) -> Any:
        """The content of a JSON file that this run wrote when it began; None for a new run.

        Raises:
          DataError: the file is damaged.
        """
        file = self.folder / name
        try:
            return untrusted.parse(file.read_text(encoding="utf-8")) if file.exists() else None
        except ValueError as error:
            raise DataError(f"'{file}' must hold what this run decided: {error}. Choose another --workdir.") from error

    def finished(self) -> Record | None:
        """The result of a finished run, printed again; None if it is not finished, or its data may have changed."""
        file = self.folder / "result.json"
        if not file.exists():
            return None
        result = read_json(file, keys=("metric", "metrics", "seconds"))
        same, notes = inputs.unchanged(self.folder, self._settings)
        for note in notes:
            self.say(note)
        if not same:
            return None
        self.say(f"already finished, {run_lines.last_line(result, self.folder)}")
        return result

    def begin(self, config: ConfigDict, experiment: Experiment) -> None:
        """Print the first lines of the run, and write the lists of its examples: of those left out, and others."""
        for line in run_lines.first_lines(config, experiment, self.folder):
            self.say(line)
        if experiment.skipped:
            write(self.folder / "skipped.txt", "\n".join(experiment.skipped) + "\n")
        for name, text in experiment.lists.items():
            write(self.folder / name, text)
        self._cut = {name: part.cut for name, part in experiment.parts.items() if hasattr(part, "cut")}

    def plan(self, tables: Sequence[tuple[str, Sequence[str], Sequence[Sequence[str]]]], chart: Record) -> None:
        """Print the table of groups of every phase, and the plan's chart; write report/plan.json and .png.

        Args:
          tables: title, columns and rows of each table.
          chart: from `plan_rates.chart`.
        """
        for table in tables:
            self.table(*table, first=("group", "lr", "parameters", "decay", "stages", "BatchNorm"))
        shown = plan_chart.folded(chart)
        for line in plan_chart.lines(shown):
            self.say(line)
        folder = self.folder / "report"
        make_folder(folder)
        if not (folder / "plan.png").exists():  # a resumed run keeps its plan
            write_json(folder / "plan.json", chart)
            figures.plan(shown, plan_chart.limits(shown), folder / "plan.png")

    @contextlib.contextmanager
    def training(self, step: int, steps: int, *, seconds: float, evaluated: bool = True) -> Iterator[None]:
        """A context for training from `step` (0 unless resumed); log entries after this step are dropped.

        Args:
          seconds: training time before this start, so that the total counts all starts.
          evaluated: whether the evaluation after `step` was done.
        """
        self._began -= seconds
        self._start_writers(step, evaluated=evaluated)
        if step:
            self.say(f"resuming at step {step} of {steps}")
        with self.progress("step", step, steps) as self._advance, self._watchdog.watching():
            yield

    def _start_writers(self, step: int, *, evaluated: bool) -> None:
        with writing(self.folder):
            self._writers.start(About(self.folder, json.loads(self._config), step, self.say, evaluated))

    def sync(self) -> None:
        """Flush the log to disk: entries before a checkpoint are not logged again."""
        if (log := self.folder / "metrics.jsonl").exists():
            sync(log)

    def diverged(self, step: int, bad: Sequence[str], ran_away: int) -> str:
        """Record in diverged.json that the state is not finite, so that the run may continue with another rate.

        Args:
          bad: the parts of the state that are not finite.
          ran_away: the last step before the loss ran away; 0: it has not.

        Returns:
          Advice for the user on how to continue.
        """
        divergence.note(self.folder, step, bad, ran_away)
        return (
            "All checkpoints are finite. Lower config.optimizer.lr or set config.optimizer.clip, and start with the "
            "same --workdir: it continues from the last checkpoint, or from the last one before the loss ran away. If "
            "that learns nothing, begin in another --workdir, where config.optimizer.warmup helps too."
        )

    def advance(self, step: int) -> None:
        """Training has reached `step`."""
        self._watchdog.step()
        best = f"best {self._watched[1]} {self._best:.4f}" if math.isfinite(self._best) else ""
        if self._advance:
            self._advance(step, "  ".join(filter(None, (self._recent.get("train", ""), best))))

    def metrics(self, step: int, part: str, values: dict[str, float]) -> None:
        """To every writer; TljaxError where a number of an evaluation is not finite."""
        check_finite(step, part, values)
        self._writers.scalars(step, part, values)
        if part == "train":
            self._recent[part] = f"loss {values['loss']:.4f}"
        elif part == "validation":
            self._best = max(self._best, values.get(self._watched[1], -math.inf))

    def finish(self, result: Record, totals: Json, files: Callable[..., None]) -> Record:
        """Write the figures, and return the result with all of its seconds.

        Args:
          result: the run's result, with "seconds" and "throughput" if there are any.
          totals: part -> the sums of its evaluation.
          files: a function that is called with a part, its sums, and the beginning of the files' names.

        Raises:
          TljaxError: a metric is not finite.
        """
        for part, values in result["metrics"].items():
            _finite(values, part)
        folder = self.folder / "report"
        make_folder(folder)
        for part, sums in totals.items():
            files(part, sums, folder / part)
        figures.curves(self.folder / "metrics.jsonl", folder / "curves.png", self._watched)
        own = {"compile": self.compile_seconds}
        seconds = own | result.get("seconds", {}) | {"total": time.monotonic() - self._began}
        result = result | {"seconds": {name: round(value, 3) for name, value in seconds.items()}}
        result |= {"cut": self._cut} if self._cut else {}
        result |= {"diverged": entries} if (entries := divergence.entries(self.folder)) else {}
        if line := throughput.line(result.get("throughput", {}), self._cut):
            self.say(line)
        if not self._writers.started:  # a fitted classifier has no training steps
            self._start_writers(0, evaluated=False)
        self._writers.finish(result)
        return result

    def ended(self, result: Record) -> None:
        """Write result.json, which marks a run as finished, after all other files; print the last lines."""
        write_json(self.folder / "result.json", result)
        self.say(run_lines.last_line(result, self.folder))
        for line in run_lines.next_lines(result, self.folder):
            self.say(line)


def check_finite(step: int, part: str, values: Json) -> None:
    """Raise TljaxError where a number of an evaluation is not finite."""
    if part != "train":  # there the loop looks at the loss; a gradient may be infinite once and skipped
        _finite(values, f"{part} at step {step}")


def _finite(values: Json, part: str) -> None:
    if bad := [f"{name} {value}" for name, value in values.items() if not math.isfinite(value)]:
        raise TljaxError(
            f"Every number of an evaluation must be finite; of {part}: {', '.join(bad)}. The network's numbers have "
            f"left the range of floats: lower config.optimizer.lr, or set config.optimizer.clip."
        )
