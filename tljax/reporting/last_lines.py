"""The last lines of a run: its numbers and how sure they are, the page to open, the next command."""

import shlex
from pathlib import Path
from typing import Any

from tljax.reporting import significance


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
        lines.append(f"  test {best} {values[best]:.1%}, 95 % interval of {values['examples']:,} examples: "
                     f"{low:.1%} to {high:.1%}")  # fmt: skip
    if (page := folder / "report" / "index.html").exists():
        lines.append(f"page: {page}")
    return [*lines, f"next: tljax predict {shlex.quote(str(folder))} ..."]
