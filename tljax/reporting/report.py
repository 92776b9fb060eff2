"""What is said of a run, and the files that stay: config, plan, metrics, the result."""

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
from tljax.reporting import figures, plan_chart, run_folder, throughput
from tljax.reporting.terminal import Screen
from tljax.reporting.watchdog import Watchdog
from tljax.reporting.writer import About, Writers

PACKAGES = ("tljax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "ml_collections")


class Report(Screen):
    """The run folder, but for its checkpoints and model."""

    def __init__(self, folder: Path, config: ConfigDict, *, best: str) -> None:
        """The folder of this run, new or begun earlier with the same config; nothing is written yet.

        Args:
          best: the metric that people watch besides the loss.

        Raises:
          ConfigError: the folder belongs to a run with another config (every difference is listed), or to a suite; or
            there is no such writer.
          DataError: its config.json is damaged.
        """
        super().__init__()
        self.folder = folder
        self._cut: dict[str, int] = {}  # part -> texts of which only the beginning is read
        self._kept: dict[str, str] = {}
        self._began, self._recent = time.monotonic(), {}
        self._watchdog = Watchdog(folder, self.say)
        self._writers = Writers(config.writers)
        self._watched = ("loss", best)
        self._config, self._data = settings.to_json(config), config.data
        if changed := run_folder.check(folder, self._config):
            self.say("the run had diverged and goes on with another config:\n  " + "\n  ".join(changed))

    @contextlib.contextmanager
    def opened(self, inputs: Mapping[str, Any]) -> Iterator[None]:
        """Make the folder, once everything that can be wrong with the input has been checked, and work in it alone.

        Args:
          inputs: what the run learns from, see `run_folder`; on a resumed run it must be what it was.

        Raises:
          ConfigError: another process is at work there.
          DataError, WeightsError: the run learns from something else.
        """
        make_folder(self.folder)
        with run_folder.claimed(self.folder):
            run_folder.check_inputs(self.folder, inputs)
            write(self.folder / "config.json", self._config)  # the first: by it the folder is known as a run's
            files = {run_folder.FILES: found} if (found := run_folder.files(self.folder, self._data)) else {}
            write_json(self.folder / "inputs.json", {**inputs, **files})
            run_folder.sweep(self.folder)
            write_json(self.folder / "env.json", _environment())
            for name, text in self._kept.items():
                write(self.folder / name, text)
            with contextlib.closing(self._writers):
                yield

    def keep(self, name: str, text: str) -> None:
        """A file of the folder; it is written once the folder is `opened`."""
        self._kept[name] = text

    def stored(self, name: str) -> Any:
        """What this run kept in a file of JSON when it began; None for a new run.

        Raises:
          DataError: the file is damaged.
        """
        file = self.folder / name
        try:
            return untrusted.parse(file.read_text(encoding="utf-8")) if file.exists() else None
        except ValueError as error:
            raise DataError(f"'{file}' must hold what this run decided: {error}. Choose another --workdir.") from error

    def finished(self) -> dict[str, Any] | None:
        """What a finished run found, said again; None if it is not finished, or its data may be others by now."""
        file = self.folder / "result.json"
        if not file.exists():
            return None
        result = read_json(file, keys=("metric", "metrics", "seconds"))
        stands, note = run_folder.unchanged(self.folder, self._data)
        if note:
            self.say(note)
        if not stands:
            return None
        self.say(f"already finished, {last_line(result, self.folder)}")
        return result

    def inputs(self, config: ConfigDict, made: Experiment) -> None:
        """The devices, the config, where everything came from, and what was left out or left to chance."""
        self.say(f"computes on {_devices()}; the run's folder is {self.folder.absolute()}")
        for section, keys in config.items():
            values = settings.as_flat(keys) if isinstance(keys, ConfigDict) else {"": keys}
            self.say(
                f"{section}: " + "  ".join(f"{key}={value}" if key else str(value) for key, value in values.items())
            )
        self.say(f"data: {made.info.source}: " + ", ".join(f"{len(part)} {name}" for name, part in made.parts.items()))
        if skipped := made.skipped:
            write(self.folder / "skipped.txt", "\n".join(skipped) + "\n")
            self.say(f"skipped {len(skipped)} (all in skipped.txt): " + "; ".join(skipped[:3]))
        for name, text in made.lists.items():
            write(self.folder / name, text)
        if made.published:
            self.say(f"weights: {made.published.where}; starting at random: {', '.join(made.drawn)}")
        else:
            self.say(f"weights: none; all {len(made.drawn)} parameters start at random (seed {config.seed})")
        for note in made.notes:
            self.say(f"  {note}")
        self._cut = {name: part.cut for name, part in made.parts.items() if hasattr(part, "cut")}

    def plan(self, tables: Sequence[tuple[str, Sequence[str], Sequence[Sequence[str]]]], chart: dict[str, Any]) -> None:
        """Print what every phase does with the groups, and the chart over all; write it, report/plan.json and .png.

        Args:
          tables: title, columns and rows of each.
          chart: as `plan_rates.chart` makes it.
        """
        for table in tables:
            self.table(*table)
        for line in plan_chart.lines(chart):
            self.say(line)
        folder = self.folder / "report"
        make_folder(folder)
        if not (folder / "plan.png").exists():  # a resumed run's plan is the one it began with
            write_json(folder / "plan.json", chart)
            figures.plan(chart, plan_chart.limits(chart), folder / "plan.png")

    @contextlib.contextmanager
    def training(self, step: int, steps: int, *, seconds: float, evaluated: bool = True) -> Iterator[None]:
        """Training from `step`, 0 unless resumed: what was logged after it is dropped.

        Args:
          seconds: of training before this start, so that the total counts all starts.
          evaluated: whether what is evaluated after `step` has been.
        """
        self._began -= seconds
        self._start_writers(step, evaluated=evaluated)
        if step:
            self.say(f"resuming at step {step} of {steps}")
        with self.bar(step, steps), self._watchdog.watching():
            yield

    def _start_writers(self, step: int, *, evaluated: bool) -> None:
        with writing(self.folder):
            self._writers.start(About(self.folder, json.loads(self._config), step, self.say, evaluated))

    def sync(self) -> None:
        """Have the disk hold the log: after a checkpoint, what was logged before it is not logged again."""
        if (log := self.folder / "metrics.jsonl").exists():
            sync(log)

    def diverged(self, step: int, bad: Sequence[str]) -> str:
        """Note in diverged.json that training has left the range of floats, so that another rate may go on.

        Args:
          bad: what of the state is not finite.

        Returns:
          How it may go on, for people.
        """
        run_folder.note_diverged(self.folder, {"step": step, "not finite": list(bad)})
        return (
            "Checkpoints are of finite states alone. Lower config.optimizer.lr or set config.optimizer.clip, and start "
            "with the same --workdir: it goes on from the last one. From the start, config.optimizer.warmup helps too."
        )

    def advance(self, step: int) -> None:
        """Training has come to `step`."""
        self._watchdog.step()
        self.draw(step, ", ".join(self._recent.values()))

    def metrics(self, step: int, part: str, values: dict[str, float]) -> None:
        """To every writer; TljaxError where a number of an evaluation is not finite."""
        if part != "train":  # there the loop looks at the loss; a gradient may be infinite once and skipped
            _finite(values, f"{part} at step {step}")
        self._writers.scalars(step, part, values)
        shown = [f"{name} {value:.4f}" for name, value in values.items() if name in self._watched]
        self._recent[part] = f"{part} {' '.join(shown)}"

    def finish(self, result: dict[str, Any], totals: Mapping[str, Any], files: Callable[..., None]) -> dict[str, Any]:
        """Write the figures and result.json, print the last line, and return the result with all of its seconds.

        Args:
          result: what the run found; its "seconds" and "throughput" too, where there are any.
          totals: part -> the sums of its evaluation.
          files: called with a part, its sums, and the beginning of the files' names.

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
        if not self._writers.started:  # a classifier that is fitted at once has no steps
            self._start_writers(0, evaluated=False)
        self._writers.finish(result)
        write_json(self.folder / "result.json", result)
        self.say(last_line(result, self.folder))
        return result


def last_line(result: dict[str, Any], folder: Path) -> str:
    """The one line a run ends with."""
    best = result["metric"]
    parts = [f"{part} {best} {values[best]:.4f} ({values['examples']})" for part, values in result["metrics"].items()]
    return f"result: {', '.join(parts)}; {result['seconds']['total']:.1f} s; {folder}"


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
