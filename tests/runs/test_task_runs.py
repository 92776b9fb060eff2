"""Tasks beside single classes, and pairs of texts, through the main job: real reviews, and pairs of a few words."""

import collections
import dataclasses
import json

import numpy as np
import pytest

from configs import default
from tests import small
from tljax.__main__ import main
from tljax.core.errors import ConfigError, DataError
from tljax.networks.encoder import Variant
from tljax.networks.families import bert
from tljax.runs import experiment, fitted_run
from tljax.runs.run import run
from tljax.serving import saved_model
from tljax.training import parallel
from tljax.transfer.method import Method
from tljax.transfer.strategies import classic

TINY = Variant(
    16, 2, 1, 32, vocabulary=len(small.WORDS), positions=32, dropout=0.0, attention_dropout=0.0, pooling="mean"
)


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("TLJAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(bert.VARIANTS, "test", TINY)
    small.word_tokenizer(tmp_path / "tokenizer")
    return tmp_path


@pytest.fixture
def pairs(place):
    """GLUE's forms: train.tsv and test.tsv of two texts, a number (STS-B) and a class (MNLI) that need both."""
    rng = np.random.default_rng(0)
    for part, number in (("train", 160), ("test", 60)):
        rows = ["sentence1\tsentence2\tscore\tverdict"]
        for _ in range(number):
            texts = [rng.choice(("good", "bad", "very", "book"), rng.integers(2, 6)).tolist() for _ in (0, 1)]
            one, two = (text.count("good") for text in texts)
            verdict = "more" if one > two else "less" if one < two else "same"
            rows.append("\t".join([*map(" ".join, texts), str(1000 + 2.5 * (one - two)), verdict]))
        (place / f"{part}.tsv").write_text("\n".join(rows) + "\n")
    return place


def config(folder, task, label, **changes):
    one = default.get_config()
    labels = {"regression": "numbers", "multilabel": "sets"}.get(task, "classes")
    one.data.update(source="text_csv", dir=str(folder), lengths=(16,), labels=labels)
    one.data.columns.update(text="sentence1", pair="sentence2", label=label)
    one.model.update(family="bert", variant="test", tokenizer=str(folder / "tokenizer"))
    one.task.name, one.strategy.name = task, "scratch"
    one.optimizer.update(name="adamw", lr=1e-2)
    one.train.update(epochs=15.0, batch_size=16, eval_batch_size=20, log_steps=1, checkpoint_epochs=5.0)
    return small.changed(one, changes)


def predicted(folder, *texts, capsys):
    assert main(["predict", str(folder), *texts, "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_number_for_a_pair_and_a_run_cut_off_ends_the_same(pairs, monkeypatch, capsys):
    """What says nothing of the pair has an R^2 of 0, and so has what cannot tell the first text from the second."""
    whole = run(config(pairs, "regression", "score"), pairs / "whole")
    test = whole["metrics"]["test"]
    assert whole["metric"] == "r2" and test["r2"] > 0.8 and test["spearman"] > 0.8 and test["mse"] < 3
    rows = (pairs / "whole" / "report" / "test_predictions.csv").read_text().splitlines()
    assert rows[0] == "example,name,text,pair,score,score predicted" and len(rows) == 61
    labels, found = np.array([row.split(",")[-2:] for row in rows[1:]], float).T
    assert found.min() > 990 and found.max() < 1010  # in the units of the table
    assert 1 - np.square(labels - found).sum() / np.square(labels - labels.mean()).sum() == pytest.approx(
        test["r2"], rel=1e-4
    )
    capsys.readouterr()
    first = (pairs / "test.tsv").read_text().splitlines()[1].split("\t")
    (said,) = predicted(pairs / "whole", "\t".join(first[:2]), capsys=capsys)
    assert said["numbers"] == [["score", pytest.approx(found[0], rel=1e-6)]]
    assert main(["explain", str(pairs / "whole"), "good very\tbad", "-o", str(pairs / "why.png")]) == 0
    first, *words = capsys.readouterr().out.splitlines()
    assert first.startswith("good very\tbad  score 100") and any(float(line.split()[0]) > 0.5 for line in words[:-1])
    small.run_cut_off(monkeypatch, config(pairs, "regression", "score"), pairs / "cut", at=67)
    assert run(config(pairs, "regression", "score"), pairs / "cut")["metrics"] == whole["metrics"]
    assert small.saved_bits(pairs / "whole") == small.saved_bits(pairs / "cut")


def test_a_class_for_a_pair(pairs):
    result = run(config(pairs, "classification", "verdict"), pairs / "run")
    assert result["metrics"]["test"]["accuracy"] > 0.8  # the most frequent class: 0.4
    assert saved_model.load(pairs / "run").classes == ("less", "more", "same")


def reviews(shared, place):
    """Real reviews of two domains as tables: a number, a set, and the two as 0 or 1; and a tokenizer of their words."""
    import tokenizers
    import transformers

    kept = []
    for domain in ("books", "kitchen"):
        for verdict in ("positive", "negative"):
            lines = (shared / "data" / "reviews" / domain / f"review_{verdict}").read_text().split("\n")
            kept += [(" ".join(line.split()[:40]), domain, verdict) for line in lines[:300]]
    counts = collections.Counter(word for text, *_ in kept for word in text.split())
    words = list(dict.fromkeys([*small.WORDS[:4], *(word for word, _ in counts.most_common(1500))]))
    model = tokenizers.models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]")
    fast = tokenizers.Tokenizer(model)
    fast.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    wrapped = transformers.PreTrainedTokenizerFast(tokenizer_object=fast, pad_token="[PAD]", unk_token="[UNK]")
    wrapped.save_pretrained(place / "words")
    rows = [
        {"text": text, "kitchen": int(domain == "kitchen"), "liked": int(verdict == "positive"),
         "all": [name for name, holds in ((domain, True), ("liked", verdict == "positive")) if holds]}
        for text, domain, verdict in kept
    ]  # fmt: skip
    (place / "all.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return len(words)


@pytest.mark.parametrize(("task", "label"), [("multilabel", "all"), ("regression", "kitchen")])
def test_real_reviews_by_a_set_and_by_a_number(shared, place, monkeypatch, capsys, task, label):
    """A network that says the same of all reviews has an average precision of 1/2, and an R^2 of 0."""
    vocabulary = reviews(shared, place)
    monkeypatch.setitem(bert.VARIANTS, "words", Variant(
        32, 2, 1, 32, vocabulary=vocabulary, positions=40, dropout=0.0, attention_dropout=0.0, pooling="mean"
    ))  # fmt: skip
    changes = {"data__fractions": (0.8, 0.0, 0.2), "data__dir": str(place / "all.jsonl"), "data__lengths": (40,)}
    changes |= {"model__variant": "words", "model__tokenizer": str(place / "words"), "train__epochs": 3.0}
    one = config(place, task, label, train__batch_size=32, train__eval_batch_size=40, **changes)
    one.data.columns.update(text="text", pair="")
    result = run(one, place / "run")
    test = result["metrics"]["test"]
    assert result["counts"] == {"train": 960, "test": 240}
    assert test[result["metric"]] > (0.75 if task == "multilabel" else 0.3)
    capsys.readouterr()
    (said,) = predicted(place / "run", "the kitchen knife and pan are great", capsys=capsys)
    names = {name for name, _ in said[{"multilabel": "sets", "regression": "numbers"}[task]]}
    assert "kitchen" in names and names <= {"books", "kitchen", "liked"}


@pytest.mark.parametrize(
    ("task", "changes", "error", "text"),
    [
        ("regression", {"data__labels": "classes"}, DataError, r"not classes, set config\.data\.labels=numbers"),
        (
            "regression",
            {"data__labels": "classes", "data__columns__label": "verdict"},
            ConfigError,
            "needs labels that are numbers; those of .* are classes",
        ),
        ("regression", {"data__examples_per_class": 3}, ConfigError, r"Take out config\.data\.examples_per_class=3"),
        (
            "regression",
            {"data__columns__label": "verdict"},
            DataError,
            "60 of .*test.tsv' do not:\n.*test.tsv:2: 'verd",
        ),
        ("multilabel", {"data__columns__label": "score,verdict"}, DataError, "'score' must be 0 or 1; it is '10"),
    ],
)
def test_mistakes(pairs, task, changes, error, text):
    with pytest.raises(error, match=f"(?s){text}"):
        experiment.load(config(pairs, task, "score", **changes), axis=None, pretrained_wanted=False)


def test_sentence_embeddings_of_length_one_serve_classifiers_without_gradients(pairs, monkeypatch):
    """Features of pooling "normalised" are what kNN votes by, here of an encoder that has learned nothing."""
    monkeypatch.setitem(bert.VARIANTS, "test", dataclasses.replace(TINY, pooling="normalised"))
    seen, fit_it = [], classic.fit
    monkeypatch.setattr(classic, "fit", lambda x, *rest, **more: seen.append(x) or fit_it(x, *rest, **more))
    monkeypatch.setattr(classic, "PRETRAINED", False)
    one = config(pairs, "classification", "verdict", strategy__name="classic", data__cache="memory")
    one.strategy.classifier = "knn"
    result = run(one, pairs / "run")
    np.testing.assert_allclose(np.linalg.norm(seen[0], axis=1), 1.0, rtol=1e-5)
    assert seen[0].shape == (160, 16) and result["metrics"]["train"]["accuracy"] > 0.55  # the most frequent class: 0.4


def test_classifiers_without_gradients_are_for_classes(pairs):
    one = config(pairs, "regression", "score")
    made = experiment.load(one, axis=None, pretrained_wanted=False)
    with pytest.raises(ConfigError, match=r"needs classes; config\.task\.name=regression has numbers"):
        fitted_run.run(Method.of(classic, one.strategy), made, parallel.make("jit"), None, one)
    assert not (pairs / "run").exists()
