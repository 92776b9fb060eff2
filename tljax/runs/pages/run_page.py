"""The page of a run, report/index.html: written after the result is saved, so that a fault cannot lose the result."""

from functools import partial
from pathlib import Path

from tljax.reporting.page.html import Content
from tljax.runs.pages import answer, baseline, cost, drawing, errors, maps, probe, sureness, why
from tljax.runs.pages.finished import Finished


def write(run: Finished) -> Path | None:
    """Draw the page as `config.report` asks; see `drawing.draw`."""
    return drawing.draw(run.folder, "run.html", partial(gather, run), run.config.report, run.screen.say)


def gather(run: Finished) -> Content:
    """All that the template is given."""
    found = probe.fit(run)
    cheap = found.baseline if found else baseline.measure(run)
    first = answer.gather(run, cheap)
    return {
        "title": f"{_name(run)}: {run.config.task.name} by {_network(run)}, {first['facts']['strategy']}",
        "answer": first,
        "errors": errors.gather(run, found),
        "sureness": sureness.gather(run),
        "cost": cost.gather(run, cheap, found.slope if found else None, first["interval"]),
        "why": why.gather(run),
        "maps": maps.gather(run),
        "texts": run.of_texts,
    }


def _network(run: Finished) -> str:
    """What its weights are called without the file's ending, or family and variant."""
    named = answer.weights(run).removesuffix(".safetensors")
    return named or f"{run.config.model.family} {run.config.model.variant}".strip()


def _name(run: Finished) -> str:
    """What the data are called, without the folders above them."""
    return Path(run.experiment.info.source).name
