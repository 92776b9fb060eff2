"""Classic classifiers on features: their equations, their choices, and the whole run."""

import csv
import json
import re

import numpy as np
import pytest
import safetensors.numpy
from ml_collections import ConfigDict

from configs import default
from tests import small
from tljax.core import settings
from tljax.core.errors import ConfigError
from tljax.core.types import EVALUATE
from tljax.runs import experiment
from tljax.runs import fitted_run as fit_module
from tljax.runs.run import run
from tljax.serving import exports, refitted_classifier, saved_model
from tljax.serving.predictor import Predictor
from tljax.transfer import classifiers

LINEAR = ("logistic", "linear_svm", "ridge")


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    monkeypatch.setattr(classifiers, "TREES", 20)


def blobs(n=120, classes=3, spread=1.0, *, scaled=True):
    """Features of `classes` overlapping clouds; `scaled`: of very different scales, far from 0."""
    labels, rng = np.arange(n) % classes, np.random.default_rng(0)
    centres = 2 * rng.normal(size=(classes, 6))
    points = centres[labels] + spread * rng.normal(size=(n, 6))
    return points * 10.0 ** np.arange(-2, 4) + 5 if scaled else points, labels


def fit(x, y, name, *, seed=0, folds=5):
    return classifiers.fit(x, y, ConfigDict({"classifier": name, "folds": folds}), seed=seed)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", classifiers.MAKE)
def test_every_classifier_tells_clouds_apart(name, classes):
    x, y = blobs(240, classes, scaled=name != "knn")  # by cosine, where one scale would drown the others
    fitted = fit(x[:120], y[:120], name)
    scores = fitted.scores(x[120:])
    assert scores.shape == (120, classes) and np.isfinite(scores).all()
    assert (scores.argmax(1) == y[120:]).mean() > 0.8
    assert fitted.accuracy is not None and fitted.accuracy > 0.8
    assert set(fitted.chosen) == set(classifiers.GRIDS[name])
    assert (fitted.linear is not None) == (name in LINEAR)


@pytest.mark.parametrize("name", LINEAR)
def test_a_linear_classifier_is_a_kernel_and_a_bias_on_plain_features(name):
    """The scaling is folded in: the same scores as the pipeline's own."""
    for classes in (2, 3):
        x, y = blobs(90, classes)
        fitted = fit(x, y, name)
        kernel, bias = fitted.linear
        model = classifiers.Pipeline([("scale", classifiers.MAKE[name]()[0]), ("fit", classifiers.MAKE[name]()[1])])
        model.set_params(**{f"fit__{key}": value for key, value in fitted.chosen.items()})
        if name == "linear_svm":
            model.set_params(fit__random_state=0)
        theirs = model.fit(x, y).decision_function(x)
        scores = x @ kernel + bias
        ours = scores[:, 1] - scores[:, 0] if theirs.ndim == 1 else scores
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)
        np.testing.assert_array_equal(scores, fitted.scores(x))
        assert fitted.learned == 7 * classes


@pytest.mark.parametrize("n", [5, 40])
def test_ridge_is_the_least_penalised_square(n):
    """Both forms (fewer and more examples than features) against a descent-free check: the gradient is zero."""
    x, y = np.random.default_rng(0).normal(size=(n, 9)), np.arange(n) % 3
    model = classifiers.Ridge(l2=3.0).fit(x, y)
    biased = np.concatenate([x, np.full((n, 1), 100.0)], axis=1)
    weights = np.concatenate([model.coef_.T, model.intercept_[None] / 100])
    targets = 2 * np.eye(3)[y] - 1
    gradient = biased.T @ (biased @ weights - targets) + 3.0 * weights
    np.testing.assert_allclose(gradient, 0, atol=1e-8)
    np.testing.assert_array_equal(model.predict(x), (biased @ weights).argmax(1))


def test_knn_scores_are_laplaces_rule():
    x = np.array([[1, 0], [1, 0.1], [1, 0.2], [0, 1], [0.1, 1], [0.2, 1], [0.3, 1]])
    y = np.array([0, 0, 0, 1, 1, 1, 1])
    fitted = fit(x, y, "knn", folds=3)
    k = fitted.chosen["n_neighbors"]
    votes = {1: (1, 0), 3: (3, 0)}[k]
    np.testing.assert_allclose(fitted.scores(np.array([[5.0, 0.0]]))[0], np.log((np.array(votes) + 1) / (k + 2)))
    assert fitted.learned == 0


def test_the_choice_is_by_folds_and_the_strongest_of_equals():
    """Against a cross-validation written out; then clouds so far apart that all of the grid is equal."""
    x, y = blobs(40, 2, spread=4.0)
    fitted = fit(x, y, "ridge", seed=4)
    folds = list(classifiers.StratifiedKFold(5, shuffle=True, random_state=4).split(x, y))
    means = {}
    for l2 in classifiers.GRIDS["ridge"]["l2"]:
        hits = []
        for train, held in folds:
            mean, std = x[train].mean(0), x[train].std(0)
            model = classifiers.Ridge(l2).fit((x[train] - mean) / std, y[train])
            hits.append((model.predict((x[held] - mean) / std) == y[held]).mean())
        means[l2] = np.mean(hits)
    assert len(set(means.values())) > 1
    assert fitted.accuracy == pytest.approx(max(means.values()))
    assert fitted.chosen["l2"] == next(l2 for l2, mean in means.items() if mean == max(means.values()))
    far, labels = blobs(60, 2, spread=1e-3)
    assert fit(far, labels, "ridge").chosen["l2"] == max(classifiers.GRIDS["ridge"]["l2"])


def test_one_example_a_class_is_fitted_without_folds():
    x, y = blobs(3)
    for name in classifiers.MAKE:
        fitted = fit(x, y, name)
        assert fitted.accuracy is None and fitted.scores(x).shape == (3, 3)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    run(small.config(train__epochs=20.0), folder)
    return folder / "model"


def make(source, name, **changes):
    return small.config(
        strategy__name="classic", strategy__classifier=name, model__weights=str(source), data__cache="memory", **changes
    )


@pytest.mark.parametrize("name", ["logistic", "ridge", "rbf_svm"])
def test_a_whole_run(tmp_path, monkeypatch, source, name):
    monkeypatch.setenv("TLJAX_CACHE", str(tmp_path))
    config = make(source, name, data__flip=True)  # which changes nothing: features are those of evaluation
    result = run(config, tmp_path / "run")
    assert result == json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["metrics"]["test"]["accuracy"] > 0.75 and result["counts"] == {"train": 50, "test": 448}
    assert result["strategy"] == "classic" and result["classifier"]["name"] == name
    plain = run(
        small.config(train__epochs=1.0, strategy__name="linear_probe", model__weights=str(source)), tmp_path / "p"
    )
    assert set(result) - {"classifier"} == set(plain) and set(result["seconds"]) == set(plain["seconds"])
    assert {file.name for file in (tmp_path / "run" / "report").iterdir()} >= {
        "test_confusion.png",
        "test_per_class.csv",
    }
    assert (tmp_path / "run" / "model" / refitted_classifier.FILE).exists() == (name not in LINEAR)
    assert run(config, tmp_path / "run") == result
    if name in LINEAR:
        expects_the_same_from_the_saved_model(tmp_path / "run" / "model", source, result)


def expects_the_same_from_the_saved_model(folder, source, result):
    """The head is the classifier: the ordinary network of model/ has the run's test accuracy; the rest is bit-equal."""
    made = experiment.load(small.config(model__weights=str(source)), axis=None)
    saved, before = (safetensors.numpy.load_file(f / "model.safetensors") for f in (folder, source))
    head = {"kernel": saved["fc.weight"].T, "bias": saved["fc.bias"]}
    variables = {"params": {**made.variables["params"], "head": head}}
    batch = made.parts["test"].take(np.arange(448))
    logits = made.network.apply(variables, made.prepare(batch, None, False)["inputs"], EVALUATE)
    assert (np.asarray(logits).argmax(1) == batch["label"]).mean() == result["metrics"]["test"]["accuracy"]
    assert all(saved[name].tobytes() == before[name].tobytes() for name in saved if not name.startswith("fc."))
    assert result["parameters"]["trainable"] == head["kernel"].size + head["bias"].size


@pytest.mark.parametrize("name", [name for name in classifiers.MAKE if name not in LINEAR])
def test_what_is_no_layer_answers_as_in_its_run(tmp_path, source, name):
    """The model/ folder, moved: the classes that the run named; it has no head, and is not exported."""
    run(make(source, name), tmp_path / "run")
    with (tmp_path / "run" / "report" / "test_predictions.csv").open(newline="") as lines:
        said = [row["prediction"] for row in csv.DictReader(lines)]
    model = saved_model.load((tmp_path / "run" / "model").rename(tmp_path / "moved"))
    pictures = experiment.load(make(source, name), axis=None).parts["test"].take(np.arange(448))["image"]
    answers = Predictor(model, batch_size=64)(pictures)
    assert answers.shape == (448, 5) and answers.dtype == np.float32
    assert [model.classes[best] for best in answers.argmax(1)] == said and len(set(said)) == 5
    assert not any(leaf.any() for leaf in model.variables["params"]["head"].values())
    with pytest.raises(ConfigError, match="tells this run's classes is no layer"):
        exports.save(model, "npz", tmp_path / "x.npz")


def test_what_only_steps_can_do_is_refused(tmp_path, source):
    """All of it in one error, and nothing is written; what every config has, a rate and epochs, is no request."""
    config = make(source, "knn", data__validation=0.2, train__patience=2, optimizer__clip=1.0)
    config.update_from_flattened_dict({"optimizer.ema": 0.9, "task.class_weights": ("balanced",), "task.mixup": 0.2})
    said = "task.class_weights=('balanced',), task.mixup=0.2, optimizer.ema=0.9, optimizer.clip=1.0, train.patience=2"
    with pytest.raises(ConfigError, match=f"takes no gradient steps, and .*: {re.escape(said)}. Leave them"):
        run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    plain = default.get_config()
    assert all(settings.get(plain, key) == none for key, none in fit_module.OF_STEPS.items())


def test_the_classifier_key_is_checked(tmp_path, source):
    assert default.get_config().strategy.classifier in classifiers.MAKE
    with pytest.raises(
        ConfigError, match="config.strategy.classifier must be one of logistic, linear_svm, .*; got 'bayes'"
    ):
        run(make(source, "bayes"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["knn", "logistic", "ridge"])
def test_what_belongs_together_is_in_one_fold(name):
    """Twenty patients of four pictures each, whose features tell the patient and nothing of the illness."""
    rng = np.random.default_rng(0)
    together = np.repeat(np.arange(20), 4)
    x = (3 * rng.normal(size=(20, 12)))[together] + 0.01 * rng.normal(size=(80, 12))
    y = rng.permutation(np.arange(20) % 2)[together]
    config = ConfigDict({"classifier": name, "folds": 5})
    alone = classifiers.fit(x, y, config, seed=0).accuracy
    grouped = classifiers.fit(x, y, config, seed=0, together=together).accuracy
    assert alone > 0.7 and grouped < 0.68, "the patient must not stand in the fold that it is tested on"
    if name == "knn":
        assert alone == 1.0
    few = np.array([0, 1] * 40)  # one patient a class: no folds
    assert classifiers.fit(x, few, config, seed=0, together=few).accuracy is None
