"""The last lines of a run: its numbers and how sure they are, the page to open, the next command."""

import shlex
from pathlib import Path
from typing import Any

from tljax.reporting import significance
from tljax.reporting.page import words


def last_line(result: dict[str, Any], folder: Path) -> str:
    """The last line that a run prints."""
    best = result["metric"]
    parts = [f"{part} {best} {values[best]:.4f} ({values['examples']})" for part, values in result["metrics"].items()]
    return f"result: {', '.join(parts)}; {result['seconds']['total']:.1f} s; {folder}"


def next_lines(result: dict[str, Any], folder: Path) -> list[str]:
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
