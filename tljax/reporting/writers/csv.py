"""metrics.csv in the run folder: step, part, name and value, one number per line."""

import csv
from collections.abc import Mapping
from pathlib import Path

from tljax.core.atomic import whole
from tljax.core.untrusted import Json
from tljax.reporting.writer import About, final

COLUMNS = ["step", "part", "name", "value"]


class Csv:
    """The file, opened for every call."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def scalars(self, step: int, part: str, values: Mapping[str, float]) -> None:
        """One line for each value."""
        with self._file.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([step, part, name, value] for name, value in values.items())

    def finish(self, result: Json) -> None:
        """One line for each number of result.json, part "final test" and so on."""
        for part, values in final(result).items():
            self.scalars(result["step"], part, values)

    def close(self) -> None:
        """Nothing is open."""


def start(about: About) -> Csv:
    """The file as it was at `about.step`."""
    file = about.folder / "metrics.csv"
    text = file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""
    rows = [row for row in csv.reader(text.splitlines()) if len(row) == len(COLUMNS) and row[0].isdigit()]
    earlier = [row for row in rows if about.keeps(int(row[0]), row[1])]
    with whole(file) as part, part.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows([COLUMNS, *earlier])
    return Csv(file)
