"""The page of a run, report/index.html: written when the result is safe, and never at its cost."""

import time
import traceback
from pathlib import Path
from typing import Any

from tljax.reporting.page import html
from tljax.runs.pages import answer, cost, errors, probe, sureness, why
from tljax.runs.pages.finished import Finished

FILE = "index.html"


def write(run: Finished) -> Path | None:
    """Draw the page as `config.report` asks; a fault is said, and loses nothing but the page.

    Returns:
      The file; None where none was asked for, or it could not be drawn.
    """
    if run.config.report == "none":
        return None
    began, file = time.monotonic(), run.folder / "report" / FILE
    try:
        size = html.save(file, "run.html", gather(run))
    except Exception as error:  # whatever a picture, a font or a full disk makes of it: the result is there
        log = run.folder / "report" / "page-error.txt"
        log.write_text(traceback.format_exc(), encoding="utf-8")
        run.screen.say(
            f"the page could not be drawn ({type(error).__name__}: {error}); the result is safe, and where it failed "
            f"stands in {log}. --config.report=short draws less"
        )
        return None
    run.screen.say(f"page: {file} ({size / 2**20:.1f} MB, {time.monotonic() - began:.1f} s)")
    return file


def gather(run: Finished) -> dict[str, Any]:
    """All that the template is given."""
    found = probe.fit(run)
    baseline = found.baseline if found else None
    first = answer.gather(run, baseline)
    return {
        "title": f"{run.config.task.name}: {first['facts']['network']}, {first['facts']['strategy']}",
        "answer": first,
        "errors": errors.gather(run, found),
        "sureness": sureness.gather(run),
        "cost": cost.gather(run, baseline, found.slope if found else None, first["interval"]),
        "why": why.gather(run),
        "texts": run.of_texts,
    }
