"""Tables of texts and of pictures: parquet, a column of splits, rows left out, and paths as people write them."""

import csv
import datetime

import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

from configs import default
from tljax.core.errors import DataError
from tljax.data.sources import picture_table, text_csv


def config(place, **changes):
    data = default.get_config().data
    data.source = changes.pop("source", "picture_table")
    columns = changes.pop("columns", {})
    data.update(dir=str(place), **changes)
    for name, value in columns.items():
        data.columns[name] = value
    return data


def table(file, *rows):
    with file.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows(rows)
    return file


@pytest.fixture
def photos(tmp_path):
    """Four pictures in a folder beside the table, each of one grey level."""
    (tmp_path / "images").mkdir()
    for level in range(4):
        Image.fromarray(np.full((8, 8, 3), level, np.uint8)).save(tmp_path / "images" / f"{level}.png")
    return tmp_path


def test_parquet_is_read_as_the_other_tables_are(tmp_path):
    columns = {"text": ["one", "two"], "label": [0, 1], "day": [datetime.date(2020, 1, 1)] * 2, "more": [[1], None]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    data = text_csv.load(config(tmp_path / "a.parquet", source="text_csv", group="day"))
    assert data.info.classes == ("0", "1") and data.splits["all"].groups == ["2020-01-01"] * 2
    assert [data.splits["all"][i]["text"] for i in range(2)] == ["one", "two"]
    with pytest.raises(DataError, match=r"must have the column 'texts'.*Did you mean 'text'"):
        text_csv.load(config(tmp_path / "a.parquet", source="text_csv", columns={"text": "texts"}))


def test_a_column_whose_name_is_no_utf_8_is_named(tmp_path):
    parquet.write_table(pyarrow.table({"text": ["a"], "label": ["b"]}), tmp_path / "a.parquet", store_schema=False)
    (tmp_path / "a.parquet").write_bytes((tmp_path / "a.parquet").read_bytes().replace(b"label", b"l\xccbel"))
    with pytest.raises(DataError, match="must be a parquet table: 'utf-8' codec"):
        text_csv.load(config(tmp_path / "a.parquet", source="text_csv"))


def test_what_is_no_parquet_is_named(tmp_path):
    (tmp_path / "a.parquet").write_text("text,label\na,b\n")
    with pytest.raises(DataError, match="must be a parquet table"):
        text_csv.load(config(tmp_path / "a.parquet", source="text_csv"))


def test_a_column_says_in_which_split_a_row_is(tmp_path):
    rows = [("a", "x", "train"), ("b", "y", "train"), ("c", "x", "test"), ("d", "y", "extra")]
    file = table(tmp_path / "a.csv", ("text", "label", "set"), *rows)
    data = text_csv.load(config(file, source="text_csv", columns={"split": "set"}))
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 2, "test": 1}
    assert data.info.unread == ("extra",)


def test_rows_without_a_label_are_left_out_and_listed_where_that_is_asked(tmp_path):
    file = table(tmp_path / "a.csv", ("text", "label"), ("a", "x"), ("b", "y"), ("c", ""), ("d", "NA"), ("e", "x"))
    data = text_csv.load(config(file, source="text_csv", unreadable="skip"))
    assert len(data.splits["all"]) == 3 and len(data.info.skipped) == 2
    assert data.info.skipped[0].endswith("a.csv:4: 'label' must name a class; it is empty")
    with pytest.raises(DataError, match="2 of .* do not"):
        text_csv.load(config(file, source="text_csv"))


def test_a_table_of_which_most_rows_have_no_label_is_no_table(tmp_path):
    file = table(tmp_path / "a.csv", ("text", "label"), ("a", "x"), ("b", ""), ("c", ""))
    with pytest.raises(DataError, match="2 of .* do not"):
        text_csv.load(config(file, source="text_csv", unreadable="skip"))


@pytest.mark.parametrize("cell", ["images/{}.png", "images/{}"])
def test_pictures_by_their_paths_with_or_without_a_suffix(photos, cell):
    rows = [(cell.format(i), "even" if i % 2 == 0 else "odd") for i in range(4)]
    data = picture_table.load(config(table(photos / "a.csv", ("image", "label"), *rows)))
    split = data.splits["all"]
    assert data.info.classes == ("even", "odd") and split.labels.tolist() == [0, 1, 0, 1]
    assert [split[i]["image"].max() for i in range(4)] == [0, 1, 2, 3]


def test_paths_may_begin_in_another_folder(photos):
    file = table(photos / "a.csv", ("image", "label"), ("0.png", "a"), ("1.png", "b"))
    data = picture_table.load(config(file, pictures=str(photos / "images")))
    assert len(data.splits["all"]) == 2
    with pytest.raises(DataError, match=r"2 of 2 do not.*Set config\.data\.pictures"):
        picture_table.load(config(file))


def test_a_lost_picture_is_left_out_where_that_is_asked(photos):
    rows = [("images/0.png", "a"), ("images/9.png", "b"), ("images/1.png", "b")]
    data = picture_table.load(config(table(photos / "a.csv", ("image", "label"), *rows), unreadable="skip"))
    assert len(data.splits["all"]) == 2 and data.info.skipped[0].endswith("a.csv:3: no picture 'images/9.png'")


@pytest.mark.parametrize(
    ("labels", "cells", "found"),
    [("numbers", ("1.5", "-2"), [[1.5], [-2.0]]), ("sets", ("red|round", "red"), [[True, True], [True, False]])],
)
def test_labels_may_be_numbers_and_sets(photos, labels, cells, found):
    rows = [(f"images/{i}.png", cell) for i, cell in enumerate(cells)]
    data = picture_table.load(config(table(photos / "a.csv", ("image", "label"), *rows), labels=labels))
    assert data.splits["all"].labels.tolist() == found and data.info.labels == labels


def test_a_point_that_may_stand_between_thousands_is_asked_about(photos):
    def read(*cells, **changes):
        lines = [f"images/{i}.png;{cell}" for i, cell in enumerate(cells)]
        (photos / "a.csv").write_text("\n".join(["image;label", *lines]))
        data = picture_table.load(config(photos / "a.csv", labels="numbers", **changes))
        return data.splits["all"].labels.ravel().tolist()

    with pytest.raises(DataError, match=r"thousands or fractions: 3.512, 1.250.*',' where 3.512 is 3512"):
        read("3.512", "1.250", "900")
    assert read("3.512", "1.250", "900", decimal=",") == [3512, 1250, 900]
    assert read("3.512", "1.250", "900", decimal=".") == [3.512, 1.25, 900]
    assert read("3.512", "0.250") == [3.512, 0.25] and read("3.512", "1.5") == [3.512, 1.5]


def test_classes_that_differ_in_spelling_are_merged_where_that_is_asked(photos):
    rows = [("images/0.png", "Cat"), ("images/1.png", "cat"), ("images/2.png", "cat"), ("images/3.png", "dog")]
    file = table(photos / "a.csv", ("image", "label"), *rows)
    data = picture_table.load(config(file, similar_labels="merge"))
    assert data.info.classes == ("cat", "dog") and data.splits["all"].labels.tolist() == [0, 0, 0, 1]
    with pytest.raises(DataError, match="spelling"):
        picture_table.load(config(file))
