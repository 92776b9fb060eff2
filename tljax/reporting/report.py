"""The report of a run: printed lines, and files for config, plan, metrics and the result."""

import contextlib
import json
import math
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from tljax.core import settings, untrusted
from tljax.core.atomic import make_folder, read_json, sync, write, write_json, writing
from tljax.core.errors import DataError, TljaxError
from tljax.core.experiment import Experiment
from tljax.data import labels, stamps
from tljax.reporting import figures, last_lines, plan_chart, run_folder, throughput
from tljax.reporting.terminal import Advance, Screen
from tljax.reporting.watchdog import Watchdog
from tljax.reporting.writer import About, Writers

PACKAGES = ("tljax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "ml_collections")


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
        if changed := run_folder.check(folder, self._config):
            self.sound_step = run_folder.sound_step(folder)
            self.say("the run had diverged and goes on with another config:\n  " + "\n  ".join(changed))

    @contextlib.contextmanager
    def opened(self, inputs: Mapping[str, Any]) -> Iterator[None]:
        """Make the folder, after all checks of the input, and lock it for this process.

        Args:
          inputs: checksums of examples and weights, see `run_folder`; for a resumed run they must be unchanged.

        Raises:
          ConfigError: another process works in the folder.
          DataError, WeightsError: the examples or the weights have changed.
        """
        make_folder(self.folder)
        with run_folder.claimed(self.folder):
            before = run_folder.check_inputs(self.folder, inputs)
            for file in stamps.changed_code(before.get(run_folder.CODE, {})):
                self.say(f"warning: '{file}' has changed since this run began: what it learned before is of other code")
            write(self.folder / "config.json", self._config)  # the first file: it marks the folder as a run's
            found = {
                run_folder.FILES: stamps.files(self.folder, self._settings),
                run_folder.CODE: {**stamps.code(self._settings), **before.get(run_folder.CODE, {})},
            }
            write_json(self.folder / "inputs.json", {**inputs, **found})
            run_folder.sweep(self.folder)
            write_json(self.folder / "env.json", _environment())
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

    def finished(self) -> dict[str, Any] | None:
        """The result of a finished run, printed again; None if it is not finished, or its data may have changed."""
        file = self.folder / "result.json"
        if not file.exists():
            return None
        result = read_json(file, keys=("metric", "metrics", "seconds"))
        before = run_folder.stored_inputs(self.folder)
        stands, notes = stamps.unchanged(before.get(run_folder.FILES, {}), self.folder, self._settings)
        for note in notes:
            self.say(note)
        for file in stamps.changed_code(before.get(run_folder.CODE, {})):
            self.say(f"warning: '{file}' has changed since: this is the result of the code as it was then; another "
                     f"--workdir runs the new one")  # fmt: skip
        if not stands:
            return None
        self.say(f"already finished, {last_lines.last_line(result, self.folder)}")
        return result

    def inputs(self, config: ConfigDict, experiment: Experiment) -> None:
        """Print the devices, changed keys, the origin of data and weights, and what is left out or random."""
        self.say(f"computes on {_devices()}; the run's folder is {self.folder.absolute()}")
        self.say("config: what differs from the default (all of it is in config.json)")
        for section, values in _by_section(settings.changed(config)).items():
            self.say(f"  {section}: " + "  ".join(values))
        self.say(
            f"data: {experiment.info.source}: "
            + ", ".join(f"{len(part)} {name}" for name, part in experiment.parts.items())
        )
        if skipped := experiment.skipped:
            write(self.folder / "skipped.txt", "\n".join(skipped) + "\n")
            self.say(f"skipped {len(skipped)} (all in skipped.txt): " + "; ".join(skipped[:3]))
        for name, text in experiment.lists.items():
            write(self.folder / name, text)
        if experiment.published:
            self.say(f"weights: {experiment.published.where}; starting at random: {labels.cut(experiment.drawn)}")
        else:
            self.say(f"weights: none; all {len(experiment.drawn)} parameters start at random (seed {config.seed})")
        for note in experiment.notes:
            self.say(f"  {note}")
        self._cut = {name: part.cut for name, part in experiment.parts.items() if hasattr(part, "cut")}

    def plan(self, tables: Sequence[tuple[str, Sequence[str], Sequence[Sequence[str]]]], chart: dict[str, Any]) -> None:
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
        before = {run_folder.SOUND: ran_away} if ran_away else {}
        run_folder.note_diverged(self.folder, {"step": step, "not finite": list(bad), **before})
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

    def finish(self, result: dict[str, Any], totals: Mapping[str, Any], files: Callable[..., None]) -> dict[str, Any]:
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
        result |= {"diverged": found} if (found := run_folder.diverged(self.folder)) else {}
        if line := throughput.line(result.get("throughput", {}), self._cut):
            self.say(line)
        if not self._writers.started:  # a fitted classifier has no training steps
            self._start_writers(0, evaluated=False)
        self._writers.finish(result)
        return result

    def ended(self, result: dict[str, Any]) -> None:
        """Write result.json, which marks a run as finished, after all other files; print the last lines."""
        write_json(self.folder / "result.json", result)
        self.say(last_lines.last_line(result, self.folder))
        for line in last_lines.next_lines(result, self.folder):
            self.say(line)


def _by_section(changed: Mapping[str, Any]) -> dict[str, list[str]]:
    """Section -> "key=value" of the keys that differ."""
    found: dict[str, list[str]] = {}
    for key, value in changed.items():
        section, _, name = key.partition(".")
        found.setdefault(section, []).append(f"{name or section}={value}")
    return found


def check_finite(step: int, part: str, values: Mapping[str, Any]) -> None:
    """Raise TljaxError where a number of an evaluation is not finite."""
    if part != "train":  # there the loop looks at the loss; a gradient may be infinite once and skipped
        _finite(values, f"{part} at step {step}")


def _finite(values: Mapping[str, Any], what: str) -> None:
    if bad := [f"{name} {value}" for name, value in values.items() if not math.isfinite(value)]:
        raise TljaxError(
            f"Every number of an evaluation must be finite; of {what}: {', '.join(bad)}. The network's numbers have "
            f"left the range of floats: lower config.optimizer.lr, or set config.optimizer.clip."
        )


def _devices() -> str:
    device = jax.devices()[0]
    return f"{jax.device_count()} x {device.device_kind} ({device.platform})"


def _environment() -> dict[str, Any]:
    return {
        "command": sys.argv,
        "python": platform.python_version(),
        "machine": platform.platform(),
        "devices": _devices(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
    }
