"""Tables that a finished run is asked about are tables: columns as in training, rows by their id."""

import json
from types import SimpleNamespace

import fsspec
import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from tests.serving.test_evaluation import pictures, texts  # noqa: F401
from tljax.__main__ import main
from tljax.core.errors import DataError
from tljax.serving import answers, questions, saved_model, stored_config

DATA, CONFIG = 3, 2


def lines(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_a_table_is_read_by_its_columns(texts, tmp_path, capsys):  # noqa: F811
    folder, _, _ = texts
    table = tmp_path / "second.csv"
    table.write_text('stars,text,ID\n5,"very good, book",a7\n1,bad book,a8\n')
    out = tmp_path / "answers.jsonl"
    for asked in ([str(table)], [f"--file={table}"]):
        assert main(["predict", str(folder), *asked, f"--out={out}"]) == 0
        rows = lines(out)
        assert [row["id"] for row in rows] == ["a7", "a8"] and list(rows[0]) == ["id", "prediction", "p(neg)", "p(pos)"]
        assert "rows go by their column 'id'" in capsys.readouterr().err
    assert main(["predict", str(folder), "very good, book", "bad book", f"--out={out}"]) == 0
    plain = lines(out)
    assert [row["p(neg)"] for row in plain] == pytest.approx([row["p(neg)"] for row in rows], abs=1e-6)
    assert main(["predict", str(folder), str(table), f"--out={out}", "--id=stars"]) == 0
    assert [row["id"] for row in lines(out)] == ["5", "1"]
    table.write_text(table.read_text().replace("1,bad", "5,bad"))
    assert main(["predict", str(folder), str(table), f"--out={out}", "--id=stars"]) == 0
    assert "warning: 1 rows of second.csv have the 'stars' of another row" in capsys.readouterr().err


def test_other_columns_are_named_and_missing_ones_refused(texts, tmp_path, capsys):  # noqa: F811
    folder, _, _ = texts
    table, out = tmp_path / "second.tsv", tmp_path / "answers.csv"
    table.write_text("body\tother\nvery good\tx\n")
    assert main(["predict", str(folder), str(table)]) == DATA
    assert "must have the column 'text'" in capsys.readouterr().err
    assert main(["predict", str(folder), str(table), "--text=body", f"--out={out}"]) == 0
    assert out.read_text().splitlines()[1].startswith(f"{table}:2,")
    assert main(["predict", str(folder), str(tmp_path / "gone.csv")]) == DATA  # and no text of that name
    assert "gone.csv'; there is no such file" in capsys.readouterr().err


def test_rows_that_cannot_be_asked_about_are_named_after_the_others(texts, tmp_path, capsys):  # noqa: F811
    folder, _, _ = texts
    table, out = tmp_path / "second.csv", tmp_path / "answers.csv"
    table.write_text("text\ngood\nNaN\nbad\n")
    assert main(["predict", str(folder), str(table), f"--out={out}"]) == DATA
    assert len(out.read_text().splitlines()) == 3
    assert f"1 of 3 are not:\n  {table}:3: an empty text" in capsys.readouterr().err


def test_files_and_folders_of_texts(texts, tmp_path):  # noqa: F811
    folder, _, _ = texts
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "one.txt").write_text("very good\n")
    (tmp_path / "two.md").write_text("bad")
    found = questions.find(
        folder, saved_model.load(folder), [str(tmp_path / "inside"), str(tmp_path / "two.md"), "bad book"]
    )
    assert found.asked == ["very good", "bad", "bad book"]
    assert found.names == [str(tmp_path / "inside" / "one.txt"), str(tmp_path / "two.md"), "text 3"]


def test_a_table_of_pictures(pictures, tmp_path, capsys):  # noqa: F811
    folder, root, _ = pictures
    table, out = root / "list.csv", tmp_path / "answers.jsonl"
    table.write_text("picture,what\ntest/ant/0.png,ant\ntest/bee/1.png,bee\n")
    assert main(["predict", str(folder), str(table)]) == CONFIG
    assert "this run did not learn from tables" in capsys.readouterr().err
    assert main(["predict", str(folder), str(table), "--image=picture", f"--out={out}"]) == 0
    rows = lines(out)
    assert [row["file"] for row in rows] == ["test/ant/0.png", "test/bee/1.png"]  # as the table writes them
    asked = [str(root / row["file"]) for row in rows]
    assert main(["predict", str(folder), *asked, f"--out={tmp_path / 'plain.jsonl'}"]) == 0
    assert [row["p(ant)"] for row in lines(tmp_path / "plain.jsonl")] == [row["p(ant)"] for row in rows]
    assert main(["predict", str(folder), str(table), "--image=picture", "--id=what", f"--out={out}"]) == 0
    assert [row["id"] for row in lines(out)] == ["ant", "bee"] and "file" not in lines(out)[0]
    capsys.readouterr()
    assert main(["evaluate", str(folder), str(table), "--image=picture", "--label=what", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["metrics"]["examples"] == 2


def test_files_of_answers_lose_only_the_ending_of_a_picture():
    found = questions.Questions(names=["a/1.jpg", "b/1.png", "v1.25", "x.2.JPEG"])
    assert found.stems() == ["1", "1-2", "v1.25", "x.2"]


def test_pictures_at_an_address(pictures, tmp_path, monkeypatch):  # noqa: F811
    folder, root, _ = pictures
    monkeypatch.setenv("TLJAX_CACHE", str(tmp_path))
    system = fsspec.filesystem("memory")
    for name in ("ant/0.png", "bee/1.png"):
        system.pipe_file(f"/new/{name}", (root / "test" / name).read_bytes())
    try:
        model = saved_model.load(folder)
        found = questions.find(folder, model, ["memory://new", "memory://new/bee/1.png"])
        assert found.names == ["memory://new/ant/0.png", *["memory://new/bee/1.png"] * 2]
        assert [path.read_bytes() for path in found.asked[:2]] == [
            (root / "test" / name).read_bytes() for name in ("ant/0.png", "bee/1.png")
        ]
        with pytest.raises(DataError, match="must be a file or a folder 'memory://new/cat'; there is none"):
            questions.find(folder, model, ["memory://new/cat"])
    finally:
        system.rm("/new", recursive=True)


def test_pictures_beside_a_second_table_come_before_those_of_the_training(tmp_path):
    """Both folders have pictures of one name."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name / "1.png")
    (tmp_path / "second/new.csv").write_text("image\n1.png\n")
    (tmp_path / "third.csv").write_text("image\n1.png\n")
    data = stored_config.of_source("picture_table", "resnet").data
    data.update(pictures=str(tmp_path / "first"), labels="none", fractions=(0.5, 0.0, 0.5))
    for table, place, notes in (("second/new.csv", "second", 0), ("third.csv", "first", 1)):
        data.dir = str(tmp_path / table)
        found = questions.loaded(data)
        (split,) = found.splits.values()
        assert split.files == [tmp_path / place / "1.png"]
        assert sum("as in training" in note for note in found.info.notes) == notes


def test_features_are_what_the_head_is_given(pictures, tmp_path):  # noqa: F811
    folder, root, _ = pictures
    out = tmp_path / "features.npz"
    assert main(["embed", str(folder), str(root / "test"), "-o", str(out)]) == 0
    found, model = np.load(out), saved_model.load(folder)
    assert found["features"].shape[0] == 15 and found["id"][0] == str(root / "test/ant/0.png")
    head = model.variables["params"]["head"]
    logits = found["features"] @ head["kernel"] + head["bias"]
    assert main(["predict", str(folder), str(root / "test"), f"--out={tmp_path / 'answers.jsonl'}"]) == 0
    said = [row["prediction"] for row in lines(tmp_path / "answers.jsonl")]
    assert [model.classes[i] for i in logits.argmax(axis=1)] == said


def test_formats_are_checked_before_anything_is_computed(pictures, capsys):  # noqa: F811
    folder, root, _ = pictures
    for verb, out in (("predict", "answers.xlsx"), ("embed", "features.txt")):
        assert main([verb, str(folder), str(root), f"--out={out}"]) == CONFIG
        assert "--out must be a file that ends in " in capsys.readouterr().err


def answered(layout, *outputs):
    """Answers of a run on sets, whose training read labels as `layout` says."""
    names = ("a", "b;c")
    task = SimpleNamespace(
        LABEL_KIND="sets",
        answer=lambda row, classes, top: [(name, p) for name, p in zip(classes, row, strict=True) if p >= 0.5],
    )
    data = layout and ConfigDict({"labels": "sets", **layout})
    rows = answers.Answers(SimpleNamespace(task=task, classes=names), "id", data)
    for i, output in enumerate(outputs):
        rows.add(str(i), output)
    return rows


@pytest.mark.parametrize(
    ("layout", "cells"),
    [
        (None, ["", "a", "a|b;c"]),
        ({"columns": {"label": "all"}, "separator": ","}, ["", "a", "a,b;c"]),
        ({"columns": {"label": "all"}, "separator": ";"}, ["", "a", '["a", "b;c"]']),
    ],
)
def test_the_labels_of_a_set_stand_in_a_cell_as_in_training(layout, cells):
    rows = answered(layout, (0.1, 0.2), (0.9, 0.2), (0.9, 0.8))
    assert rows.columns["prediction"] == cells and rows.counts == {"a": 2, "b;c": 1}


def test_labels_that_had_a_column_each_have_one_in_the_answers():
    rows = answered({"columns": {"label": "a,b;c"}, "separator": "|"}, (0.1, 0.2), (0.9, 0.8))
    assert list(rows.columns) == ["id", "a predicted", "b;c predicted", "p(a)", "p(b;c)"]
    assert rows.columns["a predicted"] == [0, 1]
