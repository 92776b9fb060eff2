"""Why a run says what it says: heat maps, words, what its layers respond to, and its features as a map."""

import dataclasses
from typing import Any

import numpy as np

from tljax.reporting.page import feature_map, layer_charts, pictures
from tljax.reporting.page.html import Content
from tljax.runs.pages import judged
from tljax.runs.pages.finished import Finished
from tljax.runs.pages.judged import Judged
from tljax.serving import embedding, saved_model
from tljax.serving.explain import asked, heat_maps, layers, words
from tljax.serving.predictor import Predictor
from tljax.serving.saved_model import Model

SHOWN, TEXTS, LABELS, POINTS = 6, 4, 2, 1_200
BATCH = 32  # examples at a time for the map: a batch that is not full is filled up, and takes as long


@dataclasses.dataclass(frozen=True)
class Question:
    """Why the network says this of one output for one example."""

    place: int  # of the example in the test part
    output: int
    shown: Content  # for the template: what is said and what is true

    @classmethod
    def about(cls, run: Finished, test: Judged, place: int, output: int) -> "Question":
        kind, name = run.experiment.task.LABEL_KIND, run.experiment.classes[output]
        value, truth = test.outputs[place, output], test.truth[place, output]
        says = value >= run.experiment.task.threshold if kind == "sets" else True
        right = None if kind == "numbers" else bool(truth) == bool(says)
        is_true = f"{truth:.4g}" if kind == "numbers" else test.labels[place]
        known = {"name": run.name("test", place), "said": name, "right": right, "value": f"{100 * value:.1f} %"}
        known |= {"value": f"{value:.4g}"} if kind == "numbers" else {}
        return cls(place, output, known | {"label": "" if kind == "classes" and right else is_true})


def gather(run: Finished) -> Content | None:
    """Explanations of some of the test part, wrong and right; None where no single output can be asked about."""
    kind = run.experiment.task.LABEL_KIND
    if kind not in asked.KINDS or not run.full or run.experiment.network.reads:
        return None
    model, test = saved_model.load(run.folder), judged.of(run)
    chosen = _chosen(run, test)
    found: Content = {"heat": [], "methods": [], "words": [], "filters": None, "stages": None, "kind": kind}
    if run.of_texts and chosen:
        found |= {"words": _words(run, model, chosen)}
    elif chosen and model.classifier is None:
        found |= _heat(run, model, chosen) | _layers(run, model, chosen[-1].place)
    return found | {"map": _map(run, model, test)}


def _chosen(run: Finished, test: Judged) -> list[Question]:
    """Half of them about wrong answers, if there are as many; of a set about its most probable labels."""
    kind, rng = run.experiment.task.LABEL_KIND, np.random.default_rng([run.config.seed, 8])
    each = 1 if kind == "classes" else min(LABELS, test.outputs.shape[1])
    most = max(1, (TEXTS if run.of_texts else SHOWN) // each)
    others = rng.permutation(np.setdiff1d(np.arange(len(test.outputs)), test.wrong))
    wrong = test.wrong[: most // 2]
    places = [int(i) for i in (*wrong, *others[: most - len(wrong)])]
    return [
        Question.about(run, test, place, output)
        for place in places
        for output in asked.most(kind, test.outputs[place], each)
    ]


def _heat(run: Finished, model: Model, chosen: list[Question]) -> Content:
    """For each question what the network saw, and the map of each method over it."""
    images = list(run.experiment.parts["test"].take(np.array([one.place for one in chosen]))["image"])
    looked = heat_maps.of(model, images, [one.output for one in chosen])
    rows = []
    for n, one in enumerate(chosen):
        name, said = one.shown["name"], one.shown["said"]
        drawn = [pictures.thumbnail(looked.seen[n], f"{name}: what the network saw")]
        drawn += [
            pictures.overlay(looked.seen[n], maps[n], f"{name}: {method} for {said}")
            for method, maps in looked.maps.items()
        ]
        rows.append(one.shown | {"pictures": drawn})
    return {"heat": rows, "methods": ["what it saw", *looked.maps]}


def _words(run: Finished, model: Model, chosen: list[Question]) -> list[Content]:
    predictor, found = Predictor(model), []
    numbers = run.experiment.task.LABEL_KIND == "numbers"
    for one in chosen:
        row = run.experiment.parts["test"].subset[one.place]
        text = f"{row['text']}\t{row['pair']}" if row["pair"] else row["text"]
        pieces = words.of(predictor, text, one.output)
        most = max((abs(piece.effect) for piece in pieces), default=0) or 1
        marked = [{"text": p.text, "for": p.effect >= 0, "share": round(abs(p.effect) / most, 2)} for p in pieces]
        found.append(one.shown | {"pieces": marked, "most": f"{most:.3g}" if numbers else f"{100 * most:.1f} %"})
    return found


def _layers(run: Finished, model: Model, shown: int) -> Content:
    """The first layer's filters, and what each stage makes of one picture."""
    filters = layers.filters(model)
    maps = layers.stages(model, run.experiment.parts["test"].take(np.array([shown]))["image"][0])
    return {
        "filters": None
        if filters is None
        else layer_charts.tiles(filters, f"{len(filters)} filters of the first layer."),
        "stages": layer_charts.stages(maps, run.name("test", shown)) if maps else None,
    }


def _map(run: Finished, model: Model, test: Judged) -> Content:
    """The test part's features of the trained network in three dimensions."""
    part, count = run.experiment.parts["test"], min(len(run.experiment.parts["test"]), POINTS)
    places = np.sort(np.random.default_rng([run.config.seed, 9]).permutation(len(part))[:count])
    examples: Any = [_read(run, model, int(i)) for i in places] if run.of_texts else list(part.take(places)["image"])
    rows = embedding.predictor(model, batch_size=min(BATCH, run.config.train.eval_batch_size))(examples)
    points = feature_map.Points(
        names=[run.name("test", int(i)) for i in places],
        labels=[test.labels[i] for i in map(int, places)],
        said=[test.said[i] for i in map(int, places)],
        right=None if test.right is None else test.right[places],
        groups=test.groups,
        numbers=None if test.right is not None else np.stack([test.truth[places, 0], test.outputs[places, 0]]),
    )
    return feature_map.draw(rows, points, run.folder / "report")


def _read(run: Finished, model: Model, place: int) -> Any:
    row = run.experiment.parts["test"].subset[place]
    return model.asked.read(f"{row['text']}\t{row['pair']}" if row["pair"] else row["text"])
