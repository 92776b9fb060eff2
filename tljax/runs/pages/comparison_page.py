"""The page of a comparison: who won and how sure that is, the rows with intervals, the plan of each, links to them."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from tljax.reporting import plan_chart
from tljax.reporting.page import charts, pictures
from tljax.reporting.page.html import Content
from tljax.runs import comparison, verdict
from tljax.runs.comparison import Failure
from tljax.runs.comparison_folder import Tables
from tljax.runs.pages import drawing

PLANS = 12  # that are drawn


def write(
    tables: Tables,
    places: Mapping[tuple[int, str], Path],
    failed: Sequence[Failure],
    folder: Path,
    *,
    asked: str,
    say: Callable[[str], None],
) -> Path | None:
    """Write <folder>/report/index.html, see `drawing.draw`.

    Args:
      tables: training examples a class (0: as the config has it) -> the rows, as `comparison.rows` makes them.
      places: (that number, row) -> the folder that holds its runs, seed0 and so on.
      failed: row, seed and error of every run that failed.
      asked: `config.report`.
    """
    return drawing.draw(folder, "comparison.html", partial(gather, tables, places, failed, folder), asked, say)


def gather(tables: Tables, places: Mapping[tuple[int, str], Path], failed: Sequence[Failure], folder: Path) -> Content:
    """All that the template is given."""
    sections = []
    for size, table in tables.items():
        rows = [
            {"cells": comparison.cells(row), "links": _links(places[size, row["name"]], row.get("seeds", ()), folder)}
            for row in table
        ]
        drawn = (f"comparison_{size}.png",) if size else ("comparison.png", "table.png")
        said = "The test metric of every row: seeds as dots, and their mean."
        picture = next((found for name in drawn if (found := _file(folder / name, said))), None)
        title = f"{size} training examples a class" if size else ""
        sections.append({"title": title, "rows": rows, "picture": picture, "verdict": verdict.sentence(table)})
    curves = _file(folder / "learning_curves.png", "Learning curves: the test metric over training examples a class.")
    return {
        "title": f"Comparison: {folder.name}",
        "columns": comparison.COLUMNS,
        "sections": sections,
        "curves": curves,
        "plans": _plans(tables, places),
        "notes": comparison.notes(tables, failed),
    }


def _links(place: Path, seeds: Sequence[int], folder: Path) -> list[dict[str, str]]:
    """The pages of a row's runs, from the comparison's page."""
    pages = [(seed, place / f"seed{seed}" / "report" / drawing.FILE) for seed in seeds]
    return [
        {"seed": str(seed), "href": f"../{page.relative_to(folder).as_posix()}"}
        for seed, page in pages
        if page.exists()
    ]


def _plans(tables: Tables, places: Mapping[tuple[int, str], Path]) -> list[Content]:
    """The plan of every row, of its first size and seed."""
    found: Content = {}
    for size, table in tables.items():
        for row in table:
            files = [
                places[size, row["name"]] / f"seed{seed}" / "report" / "plan.json" for seed in row.get("seeds", ())
            ]
            file = next((file for file in files if file.exists()), None)
            if file and row["name"] not in found and len(found) < PLANS:
                chart = json.loads(file.read_text(encoding="utf-8"))
                found[row["name"]] = charts.plan(plan_chart.folded(chart), plan_chart.limits(chart))
    return [{"name": name, "picture": picture} for name, picture in found.items()]


def _file(file: Path, alternative: str) -> pictures.Picture | None:
    return pictures.of_file(file, alternative) if file.exists() else None
