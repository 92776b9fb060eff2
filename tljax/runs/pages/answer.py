"""The first section of a page: the answer, beside what guessing and the cheapest honest way come to."""

import re
from pathlib import PurePosixPath

import numpy as np

from tljax.core import plugins
from tljax.reporting import measures, significance
from tljax.reporting.page import charts, words
from tljax.reporting.page.html import Content
from tljax.reporting.significance import wilson
from tljax.runs.pages.finished import Finished
from tljax.training import selection

MEASURES = ("f1_macro", "balanced_accuracy", "mcc", "auroc", "loss")  # metrics of classes beside the accuracy
SHARE = "by the number of examples alone (Wilson)"  # what an interval of the test part knows of
SILENT = ("model.safetensors", "model")  # in a folder, whose name says more
OWN = "by the bootstrap over the examples"  # of a task that says its own (`HasInterval`)
NAMED = 60  # classes up to which all are in the table; of more the worst


def gather(run: Finished, baseline: Content | None) -> Content:
    """What stands first.

    Args:
      baseline: "name", "value" (its accuracy), "examples" and "why" of the cheapest honest way; None: not measured.
    """
    best, values = run.result["metric"], run.result["metrics"]["test"]
    ends = significance.ends(best)
    found: Content = {
        "metric": best,
        "value": values[best],
        "examples": values["examples"],
        "interval": significance.of_part(best, values),
        "by": OWN if ends[0] in values else SHARE,
        "rows": [],
        "measures": {name: x for name, x in values.items() if name not in (best, "examples", *ends)},
        "per_class": [],
        "each": "label" if run.experiment.task.LABEL_KIND == "sets" else "class",
        "in_units": [],
        "kept": _kept(run),
        "facts": _facts(run),
        "picture": None,
        "pictured": "",
        "parts": _parts(run, best),
    }
    kinds = {"classes": _classes, "sets": _sets, "numbers": _numbers}
    return found | (kinds[kind](run, baseline) if (kind := run.experiment.task.LABEL_KIND) in kinds else {})


def _classes(run: Finished, baseline: Content | None) -> Content:
    test, values = run.test, run.result["metrics"]["test"]
    accuracy, count = values["accuracy"], values["examples"]
    guess, guessed = measures.commonest(test, run.experiment.parts["train"].subset.labels)
    rows = [{"name": "this run", "value": accuracy, "why": "", "examples": count}]
    if baseline:
        rows.append(baseline)
    commonest = "the commonest class of the training part"
    rows.append({"name": f"always “{guess}”", "value": guessed, "why": commonest, "examples": count})
    table = measures.per_class(test)
    order = sorted(range(len(test.classes)), key=lambda k: table["f1"][k])
    shown = range(len(test.classes)) if len(test.classes) <= NAMED else order[:NAMED]
    return {
        "interval": wilson(accuracy, count),
        "rows": [row | {"interval": wilson(row["value"], row["examples"])} for row in rows],
        "measures": {name: values[name] for name in MEASURES if name in values},
        "per_class": [
            {"name": test.classes[k]} | {name: column[k].item() for name, column in table.items()} for k in shown
        ],
        "picture": charts.confusion(test) if len(test.classes) <= measures.DRAWN else None,
        "pictured": "Confusion: labels and predictions",
    }


def _sets(run: Finished, baseline: Content | None) -> Content:
    sums = run.totals["test"]
    columns = zip(run.experiment.classes, sums["labels"], sums["predicted"], sums["hits"], strict=True)
    return {
        "rows": _beside_chance(run, baseline) if run.result["metric"] == "mean_average_precision" else [],
        "per_class": [
            {
                "name": name,
                "precision": hits / max(found, 1),
                "recall": hits / max(labels, 1),
                "f1": 2 * hits / max(labels + found, 1),
                "examples": int(labels),
            }
            for name, labels, found, hits in columns
        ],
    }


def _beside_chance(run: Finished, baseline: Content | None) -> list[Content]:
    """The mean average precision, the baseline's, and that of an order by chance: a label's share of the examples."""
    metric, values = "mean_average_precision", run.result["metrics"]["test"]
    ends = significance.of_part(metric, values)
    counts = [count for count in map(int, run.totals["test"]["labels"]) if count]
    chance = sum(counts) / len(counts) / values["examples"] if counts else 0.0
    why = "the mean share of the test examples that have a label"
    return [
        {"name": "this run", "value": values[metric], "why": "", "interval": ends},
        *([baseline] if baseline else []),
        {"name": "an order by chance", "value": chance, "why": why, "interval": None},
    ]


def _numbers(run: Finished, baseline: Content | None) -> Content:
    decode, sums = run.experiment.task.decode, run.totals["test"]
    labels, found = decode(sums["label"]), decode(sums["prediction"])
    values = run.result["metrics"]["test"]
    mean = {"name": "always the mean", "value": 0.0, "why": "of the same examples", "interval": None}
    this = {"name": "this run", "value": values["r2"], "why": "", "interval": significance.of_part("r2", values)}
    far, always = (np.abs(labels - one).mean(axis=0) for one in (found, np.array(run.experiment.task.mean)))
    return {
        "rows": [this, *([baseline] if baseline else []), mean],
        "in_units": [
            f"{name}: {words.number(float(off))} off on average; the mean of the training part would be "
            f"{words.number(float(guess))} off."
            for name, off, guess in zip(run.experiment.classes, far, always, strict=True)
        ],
        "picture": charts.scatter(labels, found, run.experiment.classes),
        "pictured": "Predictions over targets",
    }


def _kept(run: Finished) -> str:
    """Which epoch is kept, and why."""
    if not run.chart:
        return "A classifier was fitted at once; there are no epochs."
    if not run.chosen:
        return (
            f"The last of {run.reached:.3g} epochs is kept: there is no validation part to choose another by "
            f"(config.data.validation=0.1 holds one out)."
        )
    metric, sign = selection.chosen_by(run.config.train.best, run.experiment.task, len(run.experiment.classes))
    part = "validation"
    if run.config.train.select == "entropy":
        metric, sign, part = "entropy", -1, "unlabelled"
    rows = [row for row in run.log if row["part"] == part]
    value = next((row[metric] for row in rows if row["step"] == run.result["step"]), None)
    said = "" if value is None else f", {words.value(value, metric)}"
    best = f"{'highest' if sign > 0 else 'lowest'} {words.metric(metric)}"
    return f"Epoch {run.epoch:.3g} of {run.chart['epochs']:g} is kept: the {best} on the {part} part{said}."


def _facts(run: Finished) -> dict[str, str]:
    """What was run, in a few words."""
    experiment, result = run.experiment, run.result
    return {
        "data": f"{experiment.info.source}: "
        + ", ".join(f"{len(part):,} {name}" for name, part in experiment.parts.items()),
        "network": network(run),
        "weights": weights(run) or "none: all parameters started at random",
        "strategy": result.get("chosen_strategy", result["strategy"]),
        "task": run.config.task.name,
        "seed": str(result["seed"]),
        "run folder": str(run.folder),
    }


def network(run: Finished) -> str:
    """The family, the variant if it has a name, and the number of parameters."""
    variant, count = run.experiment.variant, run.result["parameters"]["total"]
    named = [variant] if isinstance(variant, str) else []
    size = f"{count / 1e6:.1f} million" if count >= 1e6 else f"{count:,}"
    return f"{' '.join([plugins.short('families', run.config.model.family), *named])}, {size} parameters"


def weights(run: Finished) -> str:
    """What the pretrained weights are called: their repository, package, or file without its folders; "" for none."""
    published = run.experiment.published
    if published is None or published.card.repository:
        return published.card.repository if published else ""
    parts = PurePosixPath(re.sub(r"^\w{2,}:", "", str(run.config.model.weights))).parts  # "package:name", "gs://..."
    return next((part for part in reversed(parts) if part not in SILENT), parts[-1])


def _parts(run: Finished, best: str) -> list[Content]:
    return [
        {"name": part, "value": values[best], "examples": values["examples"], "color": charts.color(part)}
        for part, values in run.result["metrics"].items()
    ]
