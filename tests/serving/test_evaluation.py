"""`tljax evaluate`: of a run's own test part its own numbers; of other data what `predict` answers, counted."""

import collections
import csv
import json
import shutil

import numpy as np
import pytest

from tests import small
from tests.runs.test_text_runs import config as text_config
from tests.runs.test_text_runs import written
from tljax.__main__ import main
from tljax.runs.run import run

DATA, CONFIG = 3, 2


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """(the run's folder, its pictures' folder, its result)"""
    root = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as monkeypatch:
        result = run(small.photographs(root / "pictures", monkeypatch), root / "run")
        yield root / "run", root / "pictures", result


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """(the run's folder, the folder of its tables, its result)"""
    with pytest.MonkeyPatch.context() as monkeypatch:
        root = written(tmp_path_factory.mktemp("texts"), monkeypatch)
        result = run(text_config(root, strategy__name="full", train__epochs=2.0), root / "run")
        yield root / "run", root, result


def evaluated(capsys, *arguments):
    assert main(["evaluate", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_runs_own_part_has_its_own_numbers(pictures, texts, capsys):
    for folder, _, result in (pictures, texts):
        found = evaluated(capsys, folder)
        assert found["value"] == result["metrics"]["test"]["accuracy"]
        assert found["metrics"] == pytest.approx(result["metrics"]["test"], rel=1e-6)
        assert evaluated(capsys, folder, "--part=train")["metrics"]["examples"] == result["counts"]["train"]


def test_a_folder_or_a_table_counts_as_the_test_part_did(pictures, texts, capsys):
    folder, root, result = pictures
    for place in ([root / "test"], [root, "--split=test"]):
        found = evaluated(capsys, folder, *place)
        assert found["metrics"] == pytest.approx(result["metrics"]["test"], rel=1e-6)
    folder, root, result = texts
    found = evaluated(capsys, folder, root / "test.csv")
    assert found["metrics"] == pytest.approx(result["metrics"]["test"], rel=1e-6)


def test_predictions_count_as_the_evaluation(pictures, texts, tmp_path, capsys):
    folder, root, result = pictures
    assert main(["predict", str(folder), str(root / "test"), f"--out={tmp_path / 'pictures.csv'}"]) == 0
    rows = list(csv.DictReader((tmp_path / "pictures.csv").read_text().splitlines()))
    right = [row["prediction"] == row["file"].split("/")[-2] for row in rows]
    assert np.mean(right) == result["metrics"]["test"]["accuracy"] and len(rows) == 15
    folder, root, result = texts
    out = tmp_path / "texts.parquet"
    assert main(["predict", str(folder), str(root / "test.csv"), f"--out={out}"]) == 0
    import pyarrow.parquet

    found = pyarrow.parquet.read_table(out).to_pydict()
    labels = [row["label"] for row in csv.DictReader((root / "test.csv").read_text().splitlines())]
    assert np.mean(np.array(found["prediction"]) == labels) == result["metrics"]["test"]["accuracy"]
    counts = collections.Counter(found["prediction"])
    assert f"{out}: 31 rows: " in (said := capsys.readouterr().out)
    assert all(f"{name} {number}" in said for name, number in counts.items())


def test_classes_that_the_run_does_not_know_are_refused(pictures, tmp_path, capsys):
    folder, root, _ = pictures
    place = shutil.copytree(root / "test", tmp_path / "test")
    (place / "fly").rename(place / "flies")
    assert main(["evaluate", str(folder), str(place)]) == DATA
    assert "Every label must be one that the run knows: ant, bee, fly." in (error := capsys.readouterr().err)
    assert "has others: flies (5). Rename them" in error
    shutil.rmtree(place / "flies")  # a class may be missing
    found = evaluated(capsys, folder, place)
    assert found["metrics"]["examples"] == 10 and found["classes"][2]["recall"] is None


def test_what_is_cut_and_what_is_not_defined_is_said(texts, tmp_path, capsys):
    folder, _, _ = texts
    (tmp_path / "long.csv").write_text(f"text,label\n{'very ' * 40}good,pos\n")
    assert main(["evaluate", str(folder), str(tmp_path / "long.csv")]) == 0
    said = capsys.readouterr().err
    assert "1 of 1 texts were cut to 16 tokens" in said and "all are of 'pos': mcc and auroc are not defined" in said
    assert main(["embed", str(folder), str(tmp_path / "long.csv"), f"--out={tmp_path / 'x.npz'}"]) == 0
    assert "1 of 1 texts were cut to 16 tokens" in capsys.readouterr().err


def test_intervals_and_n_are_said(pictures, capsys, tmp_path):
    folder, root, result = pictures
    assert main(["evaluate", str(folder), str(root / "test"), f"--out={tmp_path / 'out'}"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"accuracy {result['metrics']['test']['accuracy']:.4f} of 15 examples, 95 % interval ")
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text())["metrics"]["examples"] == 15
    assert (tmp_path / "out" / "evaluation_per_class.csv").exists()


def test_what_was_learned_from_is_said(pictures, capsys):
    folder, root, _ = pictures
    assert main(["evaluate", str(folder), str(root)]) == 0
    assert "these data hold what the run learned from" in capsys.readouterr().err
    assert main(["evaluate", str(folder), str(root), "--split=test"]) == 0
    assert "learned from" not in capsys.readouterr().err


def test_own_examples_that_have_changed_are_refused(texts, capsys):
    folder, root, _ = texts
    content = (root / "test.csv").read_text()
    (root / "test.csv").write_text(content.replace(",pos", ",neg", 1))
    try:
        assert main(["evaluate", str(folder)]) == DATA
    finally:
        (root / "test.csv").write_text(content)
    assert "those of 'test' are others" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("{root}", "--part=test"), CONFIG, "--part names a part of the run's own"),
        (("--part=other",), DATA, "--part must be one of train, test; got 'other'."),
        (("{root}/nothing",), DATA, "DATA must be a folder or a table with labels; there is no "),
        (("{root}", "--split=other"), DATA, "--split must be one of "),
    ],
)
def test_mistakes(pictures, capsys, arguments, code, said):
    folder, root, _ = pictures
    assert main(["evaluate", str(folder), *(word.format(root=root) for word in arguments)]) == code
    assert said in capsys.readouterr().err
