"""Why a run says what it says: heat maps, words, what its layers respond to, and its features as a map."""

from typing import Any

import numpy as np

from tljax.reporting.page import feature_map, layer_charts, pictures
from tljax.runs.pages.finished import Finished
from tljax.serving import embedding, saved_model
from tljax.serving.explain import heat_maps, layers, words
from tljax.serving.predictor import Predictor
from tljax.serving.saved_model import Model

SHOWN, TEXTS, POINTS = 6, 4, 1_200
BATCH = 32  # examples at a time for the map: a batch that is not full is filled up, and takes as long


def gather(run: Finished) -> dict[str, Any] | None:
    """Explanations of some of the test part, wrong and right; None where there is no class to ask about."""
    if run.experiment.task.LABEL_KIND != "classes" or not run.full or run.experiment.network.reads:
        return None
    model = saved_model.load(run.folder)
    wrong, right = run.test.mistakes(), np.flatnonzero(run.test.right)
    rng = np.random.default_rng([run.config.seed, 8])
    right = rng.permutation(right)
    most = TEXTS if run.of_texts else SHOWN
    chosen = [int(i) for i in (*wrong[: most // 2], *right[: most - min(len(wrong), most // 2)])]
    found: dict[str, Any] = {"heat": [], "methods": [], "words": [], "filters": None, "stages": None}
    if run.of_texts and chosen:
        found |= {"words": _words(run, model, chosen)}
    elif chosen and model.classifier is None:
        found |= _heat(run, model, chosen) | _layers(run, model, chosen[-1])
    return found | {"map": _map(run, model)}


def _heat(run: Finished, model: Model, chosen: list[int]) -> dict[str, Any]:
    """For each picture what the network saw, and the map of each method over it, for the class that is predicted."""
    test = run.test
    images = list(run.experiment.parts["test"].take(np.array(chosen))["image"])
    looked = heat_maps.of(model, images, [int(test.predicted[i]) for i in chosen])
    rows = []
    for n, i in enumerate(chosen):
        label, said = test.classes[int(test.labels[i])], test.classes[int(test.predicted[i])]
        name = run.name("test", i)
        drawn = [pictures.thumbnail(looked.seen[n], f"{name}: what the network saw")]
        drawn += [
            pictures.overlay(looked.seen[n], maps[n], f"{name}: {method} for {said}")
            for method, maps in looked.maps.items()
        ]
        rows.append({"name": name, "label": label, "said": said, "p": float(test.sureness[i]), "pictures": drawn})
    return {"heat": rows, "methods": ["what it saw", *looked.maps]}


def _words(run: Finished, model: Model, chosen: list[int]) -> list[dict[str, Any]]:
    predictor, test, found = Predictor(model), run.test, []
    for i in chosen:
        row = run.experiment.parts["test"].subset[i]
        text = f"{row['text']}\t{row['pair']}" if row["pair"] else row["text"]
        pieces = words.of(predictor, text, int(test.predicted[i]))
        most = max((abs(piece.effect) for piece in pieces), default=0) or 1
        marked = [{"text": p.text, "for": p.effect >= 0, "share": round(abs(p.effect) / most, 2)} for p in pieces]
        label, said = test.classes[int(test.labels[i])], test.classes[int(test.predicted[i])]
        known = {"name": run.name("test", i), "label": label, "said": said, "p": float(test.sureness[i])}
        found.append(known | {"pieces": marked, "most": most})
    return found


def _layers(run: Finished, model: Model, shown: int) -> dict[str, Any]:
    """The first layer's filters, and what each stage makes of one picture."""
    filters = layers.filters(model)
    maps = layers.stages(model, run.experiment.parts["test"].take(np.array([shown]))["image"][0])
    return {
        "filters": None
        if filters is None
        else layer_charts.tiles(filters, f"{len(filters)} filters of the first layer."),
        "stages": layer_charts.stages(maps, run.name("test", shown)) if maps else None,
    }


def _map(run: Finished, model: Model) -> dict[str, Any]:
    """The test part's features of the trained network in three dimensions."""
    part, test = run.experiment.parts["test"], run.test
    count = min(len(part), POINTS)
    places = np.sort(np.random.default_rng([run.config.seed, 9]).permutation(len(part))[:count])
    asked: Any = list(part.take(places)["image"]) if not run.of_texts else [_read(run, model, int(i)) for i in places]
    rows = embedding.predictor(model, batch_size=min(BATCH, run.config.train.eval_batch_size))(asked)
    names = [run.name("test", int(i)) for i in places]
    return feature_map.draw(
        rows, test.labels[places], test.predicted[places], test.classes, names, run.folder / "report"
    )


def _read(run: Finished, model: Model, place: int) -> Any:
    row = run.experiment.parts["test"].subset[place]
    return model.asked.read(f"{row['text']}\t{row['pair']}" if row["pair"] else row["text"])
