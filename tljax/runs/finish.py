"""The end of every run: model/, numbers and figures, the page, the last lines."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from ml_collections import ConfigDict

from tljax.core.experiment import Experiment
from tljax.core.processes import agreement
from tljax.core.remote import mirror
from tljax.core.untrusted import Record
from tljax.reporting.report import Report
from tljax.runs import records
from tljax.runs.pages import run_page
from tljax.runs.pages.finished import Finished
from tljax.serving import model_card
from tljax.training import parallel
from tljax.training.parallel import Parallel


def finish(
    save: Callable[[Path], None],
    found: Record,
    totals: Mapping[str, Record],
    experiment: Experiment,
    devices: Parallel,
    report: Report,
    config: ConfigDict,
) -> Record:
    """Write everything that a finished run leaves. Process 0 does it; the others get the result.

    Args:
      save: writes the folder model/ of this path.
      found: the content of result.json without what the report adds; "temperature" is in it.
      totals: part -> the sums of its evaluation.

    Returns:
      The content of result.json.
    """

    def written() -> Record:
        save(report.folder / "model")
        result = report.finish(found, totals, partial(records.files, experiment, config, found["temperature"]))
        model_card.save(report.folder, result)
        run_page.write(Finished(report.folder, experiment, config, totals, result, parallel.own(devices), report))
        report.ended(result)
        mirror.push(report.folder)
        return result

    return agreement.told(written)
