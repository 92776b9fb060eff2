"""Calibration of a run: the probabilities of its predictions, and how often they are right."""

from tljax.reporting import measures
from tljax.reporting.page import charts
from tljax.reporting.page.html import Content
from tljax.runs.pages.finished import Finished

SHARE = 0.9  # of the cases in which a conformal set holds the label


def gather(run: Finished) -> Content | None:
    """Reliability, calibration error before and after the temperature, coverage; None where labels are no classes."""
    if run.experiment.task.LABEL_KIND != "classes":
        return None
    after = run.test
    fitted = run.temperature != 1
    before = run.outcome("test", temperature=1.0) if fitted else after
    known = run.outcome("validation") if "validation" in run.totals else None
    return {
        "temperature": run.temperature if fitted else None,
        "before": measures.calibration_error(before),
        "after": measures.calibration_error(after),
        "reliability": charts.sureness(before, after),
        "coverage": charts.selective(after),
        "sets": measures.conformal(known, after, SHARE) if known else None,
        "held_out": len(known.labels) if known else 0,
        "share": SHARE,
    }
