"""The files of a run with a row for every example of a part, and the temperature that calibrates probabilities."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from tljax.core.experiment import Experiment
from tljax.core.plugins import find
from tljax.core.untrusted import Record
from tljax.data import labels
from tljax.reporting import records
from tljax.tasks import Calibrates, Lists, Task

ON = "validation"  # the part that the temperature is fitted to


def temperature(task: Task, totals: Mapping[str, Record]) -> float:
    """The number to divide logits by; 1 if the task has none, or if there is no validation part."""
    return task.temperature(totals[ON]) if isinstance(task, Calibrates) and ON in totals else 1.0


def columns(experiment: Experiment, config: ConfigDict, temperature: float, part: str, sums: Record) -> records.Columns:
    """Name or text, label and answer of every example of a part; {} if the task does not list answers."""
    if not isinstance(experiment.task, Lists):
        return {}
    reader = find("inputs", find("families", config.model.family).INPUT)
    table = experiment.task.columns(sums, experiment.classes, temperature)
    separator = config.data.get("separator", labels.BETWEEN)  # sources that are no tables have none
    answers = {name: [_cell(value, separator) for value in values] for name, values in table.items()}
    known = reader.said(experiment.parts[part])  # a target of a regression may have such a name too
    return {f"{name} of example" if name in answers else name: x for name, x in known.items()} | answers


def _cell(value: Any, separator: str) -> Any:
    return labels.joined(value, separator) if isinstance(value, tuple) else value


def files(experiment: Experiment, config: ConfigDict, temperature: float, part: str, sums: Record, stem: Path) -> None:
    """Write <stem>_predictions.csv, and the task's own files."""
    experiment.task.files(sums, stem, classes=experiment.classes)
    if table := columns(experiment, config, temperature, part, sums):
        records.save(stem.with_name(f"{stem.name}_predictions.csv"), table)
