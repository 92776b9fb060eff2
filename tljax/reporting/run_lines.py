"""The first lines of a run: device, config, data and weights. The last: its numbers, the page, the next command."""

import shlex
from collections.abc import Iterator
from pathlib import Path

from ml_collections import ConfigDict

from tljax.core import settings
from tljax.core.experiment import Experiment
from tljax.core.types import Record
from tljax.data import labels
from tljax.reporting import machine, significance
from tljax.reporting.page import words


def first_lines(config: ConfigDict, experiment: Experiment, folder: Path) -> Iterator[str]:
    """The devices, changed keys, the origin of data and weights, and what is left out or random."""
    yield f"computes on {machine.devices()}; the run's folder is {folder.absolute()}"
    yield "config: what differs from the default (all of it is in config.json)"
    sections: dict[str, list[str]] = {}
    for key, value in settings.changed(config).items():
        section, _, name = key.partition(".")
        sections.setdefault(section, []).append(f"{name or section}={value}")
    for section, values in sections.items():
        yield f"  {section}: " + "  ".join(values)
    parts = ", ".join(f"{len(part)} {name}" for name, part in experiment.parts.items())
    yield f"data: {experiment.info.source}: {parts}"
    if skipped := experiment.skipped:
        yield f"skipped {len(skipped)} (all in skipped.txt): " + "; ".join(skipped[:3])
    if experiment.published:
        licence = f" (licence: {experiment.card.licence})" if experiment.card.licence else ""
        yield f"weights: {experiment.published.where}{licence}; starting at random: {labels.cut(experiment.drawn)}"
    else:
        yield f"weights: none; all {len(experiment.drawn)} parameters start at random (seed {config.seed})"
    for note in experiment.notes:
        yield f"  {note}"


def last_line(result: Record, folder: Path) -> str:
    """The line of the result."""
    best = result["metric"]
    parts = [f"{part} {best} {values[best]:.4f} ({values['examples']})" for part, values in result["metrics"].items()]
    return f"result: {', '.join(parts)}; {result['seconds']['total']:.1f} s; {folder}"


def next_lines(result: Record, folder: Path) -> list[str]:
    """What comes after the result's line."""
    best, lines = result["metric"], []
    values = result["metrics"].get("test", {})
    if ends := significance.of_part(best, values) if values else None:
        low, high = ends
        value, low, high = (words.value(one, best) for one in (values[best], low, high))
        lines.append(f"  test {best} {value}, 95 % interval of {values['examples']:,} examples: {low} to {high}")
    if (page := folder / "report" / "index.html").exists():
        lines.append(f"page: {page}")
    return [*lines, f"next: tljax predict {shlex.quote(str(folder))} ..."]
