"""How fast a run learned and how much was padding: counted by hand, in the result, and the same after a kill."""

import json

import numpy as np
import pytest

from tests import small
from tests.runs.test_text_runs import config, folder  # noqa: F401  (a fixture, and what goes with it)
from tljax.data.tokens import Tokens
from tljax.reporting import throughput
from tljax.runs import experiment
from tljax.runs.run import run


def test_places():
    tokens = np.array([[True, True, False, False], [True, False, False, False]])
    assert throughput.places({"tokens": tokens}) == (3, 8)
    assert throughput.places({"image": np.zeros((2, 4, 4, 3))}) == (0, 0)


def test_summary():
    assert throughput.summary(40, 2.0, 0, 0) == {"examples_s": 20.0}
    assert throughput.summary(40, 2.0, 300, 400) == {"examples_s": 20.0, "tokens_s": 150.0, "padding": 0.25}
    assert throughput.summary(0, 2.0, 0, 0) == throughput.summary(4, 0.0, 3, 4) == {}


def test_line():
    found = {"examples_s": 1234.56, "tokens_s": 98765.4, "padding": 0.1234}
    said = "throughput: 1,234.6 examples/s, 98,765 tokens/s, 12.3% padding"
    assert throughput.line(found, {"train": 0, "test": 0}) == said
    assert throughput.line(found, {"train": 2, "test": 1}) == f"{said}, texts cut: 2 of train, 1 of test"
    assert throughput.line({}, {}) == ""


def test_what_features_are_computed_of_is_padded_too(folder):  # noqa: F811
    one = config(folder, strategy__name="linear_probe", data__cache="memory", train__epochs=2.0)
    result = run(one, folder / "run")
    parts = experiment.load(one, axis=None).parts.values()
    assert "tokens_s" not in result["throughput"] and 0 < result["throughput"]["padding"] < 0.9
    sorts = [(part, np.argsort(part.lengths, kind="stable")) for part in parts]  # texts of like length together
    taken = [part.take(np.resize(order[begin : begin + 16], 16))["tokens"]
             for part, order in sorts for begin in range(0, len(part), 16)]  # fmt: skip
    share = 1 - sum(x.sum() for x in taken) / sum(x.size for x in taken)
    assert result["throughput"]["padding"] == pytest.approx(share, abs=1e-12)


def test_a_runs_result_has_them_and_a_run_cut_off_the_same(folder, monkeypatch, capsys):  # noqa: F811
    train = folder / "train.csv"
    train.write_text(train.read_text() + f"\n{'very ' * 40}good,pos\n{'very ' * 40}bad,neg")
    seen, take = [], Tokens.take
    monkeypatch.setattr(Tokens, "take", lambda part, places: seen.append((part, take(part, places))) or seen[-1][1])
    one = config(folder, strategy__name="full", train__epochs=4.0, train__checkpoint_epochs=1.0)
    whole = run(one, folder / "whole")
    said = capsys.readouterr().out
    steps, first = whole["step"], seen[0][0]
    batches = [batch["tokens"] for part, batch in seen if part is first][:steps]  # then come those of evaluation
    share = 1 - sum(x.sum() for x in batches) / sum(x.size for x in batches)
    assert 0 < share < 0.7 and whole["throughput"]["padding"] == pytest.approx(share, abs=1e-12)
    seconds = whole["seconds"]["train"]
    assert whole["throughput"]["examples_s"] == pytest.approx(steps * 8 / seconds, rel=0.01)
    assert whole["cut"] == {"train": 2, "test": 0}
    assert "% padding, texts cut: 2 of train, 0 of test" in said
    assert json.loads((folder / "whole" / "result.json").read_text()) == whole
    small.run_cut_off(monkeypatch, one, folder / "cut", at=15)
    assert run(one, folder / "cut")["throughput"]["padding"] == whole["throughput"]["padding"]
