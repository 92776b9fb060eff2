"""metrics.jsonl in the run folder: one object per line, with step, part and values. Every run has it."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

from tljax.core.atomic import write
from tljax.core.untrusted import Json, Record
from tljax.reporting.writer import About, final


class Jsonl:
    """The file, opened for every row, so that its rows are on disk if the run is killed."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def scalars(self, step: int, part: str, values: Mapping[str, float]) -> None:
        """One line; null for values that are not finite."""
        finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "part": part, **finite}) + "\n")

    def finish(self, result: Json) -> None:
        """One line for each part, "final test" and so on."""
        for part, values in final(result).items():
            self.scalars(result["step"], part, values)

    def close(self) -> None:
        """Nothing is open."""


def start(about: About) -> Jsonl:
    """The log as it was at `about.step`; damaged lines are left out, with a message."""
    file = about.folder / "metrics.jsonl"
    if file.exists():
        lines = file.read_bytes().splitlines()
        rows = [_row(line) for line in lines]
        earlier = [row for row in rows if row and about.keeps(row["step"], row["part"])]
        bad = [number for number, row in enumerate(rows, start=1) if row is None]
        if bad and bad != [len(rows)]:  # a kill may have cut the last line
            about.say(f"metrics.jsonl: {len(bad)} of {len(rows)} lines are damaged and left out; the first is {bad[0]}")
        write(file, "".join(json.dumps(row) + "\n" for row in earlier))
    return Jsonl(file)


def _row(line: bytes) -> Record | None:
    """A line of the log; None if it is damaged."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    numbers = isinstance(row, dict) and all(
        x is None or (isinstance(x, int | float) and not isinstance(x, bool)) for k, x in row.items() if k != "part"
    )
    whole = numbers and isinstance(row.get("step"), int) and isinstance(row.get("part"), str)
    return row if whole else None
