"""The cheapest honest way to the same answer: a linear classifier on frozen features, words, or pixels.

It also says which labels may be wrong, and what more examples would be worth.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tljax.data.batches import lengths_of
from tljax.data.parts.subsets import Subset
from tljax.reporting import label_errors
from tljax.reporting.page.html import Content
from tljax.runs.pages.finished import Finished
from tljax.training import features
from tljax.training.prefix import Prefix

MOST = 5_000  # examples of a part that are looked at; of a larger one a draw by seed
PIXELS = 16  # of a side, where there is no network that has seen anything
STRENGTH = 0.01  # scikit-learn's C on standardised features
TOLERANCE = 1e-2  # of its fit: a sixth of the time of 1e-4, and the same accuracy to 0.1 points
SETTINGS: dict[str, dict[str, Any]] = {  # of scikit-learn's logistic regression, by what it is fitted to
    "words": {"C": 10, "max_iter": 300},
    "features": {"C": STRENGTH, "tol": TOLERANCE, "max_iter": 300},
}
DRAWS = 3  # halves of the training part, to see what the other half was worth


@dataclasses.dataclass(frozen=True)
class Probe:
    """What a linear classifier finds."""

    name: str
    why: str
    accuracy: float  # on the test part, of which it saw `examples`
    examples: int
    slope: float | None  # what twice the training examples would add, by what the second half added
    suspects: np.ndarray  # positions in the training part, the likeliest wrong label first
    out_of_fold: np.ndarray  # (N, K) probabilities of the looked-at training examples
    looked_at: np.ndarray  # (N,) their positions in the training part

    @property
    def baseline(self) -> Content:
        """As the first section of a page takes it."""
        return {"name": self.name, "value": self.accuracy, "why": self.why, "examples": self.examples}


def fit(run: Finished) -> Probe | None:
    """The probe of a run; None where labels are no classes, or too few for folds."""
    if run.experiment.task.LABEL_KIND != "classes" or not run.full:
        return None
    places = {part: drawn(len(run.experiment.parts[part]), run.config.seed) for part in ("train", "test")}
    labels = {part: np.asarray(run.experiment.parts[part].subset.labels)[some] for part, some in places.items()}
    if np.bincount(labels["train"], minlength=len(run.experiment.classes)).min() < 2:
        return None
    name, what, seen, make = rows(run, places)
    fitted = make().fit(seen["train"], labels["train"])
    accuracy = float((fitted.predict(seen["test"]) == labels["test"]).mean())
    outside = out_of_fold(make, seen["train"], labels["train"], run.config.seed)
    order = label_errors.candidates(labels["train"], outside)
    slope = _slope(make, seen, labels, accuracy, run.config.seed)
    return Probe(
        name,
        f"logistic regression on {what}",
        accuracy,
        len(labels["test"]),
        slope,
        places["train"][order],
        outside,
        places["train"],
    )


def drawn(count: int, seed: int) -> np.ndarray:
    if count <= MOST:
        return np.arange(count)
    return np.sort(np.random.default_rng([seed, 7]).choice(count, MOST, replace=False))


def rows(run: Finished, places: dict[str, np.ndarray]) -> tuple[str, str, Content, Any]:
    """(What it is called, what it sees, the rows of each part, what makes the classifier)."""
    if run.of_texts:
        texts = {part: [run.text(part, int(i)) for i in some] for part, some in places.items()}
        return "bag of words", "words and pairs of words", texts, bag_of_words
    if run.experiment.published and not run.experiment.network.reads:
        return (
            "probe on frozen features",
            "the features of the network as it was published",
            frozen(run, places),
            linear,
        )
    pixels = {part: _pixels(run, part, some) for part, some in places.items()}
    return "pixels", f"{PIXELS} x {PIXELS} pixels: no network has seen anything else", pixels, linear


def frozen(run: Finished, places: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Features (N, D) of the examples at `places` of each part, by the network as training began with it."""
    data, experiment = run.config.data, run.experiment
    where = "process" if data.cache in ("off", "memory") else "memory"
    prefix, size = Prefix(experiment, None, run.devices), run.config.train.eval_batch_size
    found = {}
    for part, some in places.items():
        chosen = Some(experiment.parts[part], some)
        cached = features.Cached(chosen, f"{part}, for the page", prefix, run.screen, where=where, batch_size=size)
        found[part] = np.asarray(cached.take(np.arange(len(some)))["features"], np.float32)
    return found


class Some:
    """Some examples of a part, as `features.Cached` takes a part."""

    views, skipped = 1, ()

    def __init__(self, part: Any, places: np.ndarray) -> None:
        self.subset: Subset = part.subset.take(places)
        self.in_memory = part.in_memory
        self._part, self._places = part, places
        if (lengths := lengths_of(part)) is not None:
            self.lengths = lengths[places]

    def __len__(self) -> int:
        return len(self._places)

    def take(self, positions: np.ndarray) -> Any:
        return self._part.take(self._places[positions])


def _pixels(run: Finished, part: str, places: np.ndarray) -> np.ndarray:
    """(N, PIXELS * PIXELS * C): each picture by blocks, as they are where it is smaller."""
    from tljax.data import pictures

    images = run.experiment.parts[part].take(places)["image"]
    if images.shape[1] > PIXELS:
        images = np.stack([pictures.fit(image, PIXELS) for image in images])
    return images.reshape(len(images), -1).astype(np.float32)


def bag_of_words() -> Any:
    """A classifier of texts. Their gradients are small: with `TOLERANCE` it would stop before it has learned."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    return make_pipeline(words(), LogisticRegression(**SETTINGS["words"]))


def linear() -> Any:
    """A classifier of features (N, D)."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    return make_pipeline(scaler(), LogisticRegression(**SETTINGS["features"]))


def words() -> Any:
    """Texts to weighted counts of their words and pairs of words."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)


def scaler() -> Any:
    """Features with mean 0 and deviation 1."""
    from sklearn.preprocessing import StandardScaler

    return StandardScaler()


def out_of_fold(make: Callable[[], Any], rows: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
    """Probabilities (N, K) of every example, by classifiers that did not learn from it."""
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    folds = StratifiedKFold(min(label_errors.FOLDS, int(np.bincount(labels).min())), shuffle=True, random_state=seed)
    return np.asarray(cross_val_predict(make(), rows, labels, cv=folds, method="predict_proba"))


def _slope(
    make: Callable[[], Any],
    rows: Mapping[str, np.ndarray],
    labels: Mapping[str, np.ndarray],
    accuracy: float,
    seed: int,
) -> float | None:
    """What the second half of the training part added to the accuracy, the mean of `DRAWS` halves."""
    from sklearn.model_selection import train_test_split

    train, found = labels["train"], []
    if np.bincount(train).min() < 4:
        return None
    for draw in range(DRAWS):
        half, _ = train_test_split(np.arange(len(train)), train_size=0.5, stratify=train, random_state=seed + draw)
        some = [rows["train"][i] for i in half] if isinstance(rows["train"], list) else rows["train"][half]
        found.append(float((make().fit(some, train[half]).predict(rows["test"]) == labels["test"]).mean()))
    return accuracy - float(np.mean(found))
