"""What folders and tables of all kinds become: the keys of the config, and errors that show what to do."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tljax.core import settings
from tljax.core.errors import ConfigError, DataError, WeightsError
from tljax.data.sources import text_folder
from tljax.given import config, kinds, parts, raw_table
from tljax.weights import search
from tljax.weights.search import Choice

CHOICE = Choice("weights.safetensors", "lenet", "small", "for a test")


@pytest.fixture(autouse=True)
def weights(monkeypatch):
    """Weights are looked for in their own tests."""
    monkeypatch.setattr(search, "find", lambda kind, wanted="", last=(): CHOICE)


def lay(root: Path, *names: str) -> Path:
    """Empty files: nothing of what they hold is read to know what a folder is."""
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")
    return root


def table(file: Path, *rows: tuple[object, ...], delimiter: str = ",") -> Path:
    with file.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out, delimiter=delimiter).writerows(rows)
    return file


def changes(place: Path, *asked: str) -> dict[str, object]:
    return config.read(str(place), asked).changes


def classes(*above: str, suffix: str = "jpg") -> list[str]:
    """Two class folders of two files, in each of the folders `above`."""
    return [f"{part}{name}/{i}.{suffix}" for part in above or ("",) for name in ("cat", "dog") for i in range(2)]


DIVIDED = {"data.fractions": (0.6, 0.2, 0.2)}
# name -> the files, and what becomes of the keys
FOLDERS = {
    "class folders": (classes(), DIVIDED),
    "parts": (
        classes("train/", "val/", "test/"),
        {"data.splits.train": "train", "data.splits.validation": "val", "data.splits.test": "test"},
    ),
    "capitals": (
        classes("Training_set/", "Testing/"),
        {"data.splits.train": "Training_set", "data.splits.test": "Testing", "data.validation": 0.2},
    ),
    "no test": (classes("train/", "val/"), {"data.splits.test": "val", "data.validation": 0.2}),
    "train alone": (classes("train/"), DIVIDED),
    "train and pictures of no class": (
        [*classes("train/"), "test/1.jpg", "test/2.jpg"],
        {**DIVIDED, "data.divide": ("train",)},
    ),
    "a test part of no known class": (
        [*classes("train/", "val/"), "test/unknown/1.jpg"],
        {"data.splits.test": "val", "data.validation": 0.2},
    ),
    "domains": (classes("photo/", "sketch/"), {**DIVIDED, "data.source": "image_folder"}),
    "texts": (classes(suffix="txt"), {"data.source": "text_folder", **DIVIDED}),
    "characters": (["1/1.png", "2/2.png"], {"data.source": "image_folder", **DIVIDED}),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_folders(tmp_path, name):
    files, expected = FOLDERS[name]
    found = changes(lay(tmp_path / "My pictures", *files))
    assert {key: found.get(key) for key in expected} == expected
    assert ("data.flip" in found) == (name not in ("texts", "characters"))


def test_a_folder_with_nothing_but_one_in_it_is_gone_into(tmp_path):
    given = config.read(str(lay(tmp_path / "a", *(f"b/c/{file}" for file in classes()))))
    assert given.changes["data.dir"] == str(tmp_path / "a" / "b" / "c") and given.name == "a"
    assert f"folder: '{tmp_path / 'a'}' holds 'b/c' alone, which is read" in given.notes


BAD_FOLDERS = {
    "flat": (["1.jpg", "2.jpg"], "2 pictures lie in it at once, and nothing says their classes.*FOLDER/cat/1.jpg"),
    "empty": ([], "must hold class folders with pictures or texts, or a table; it holds neither"),
    "one class": (["cat/1.jpg"], "must hold class folders"),
    "masks": (["images/1.jpg", "masks/2.png"], "'images' and 'masks' look like pictures and their masks"),
    "some nested": (["cat/1.jpg", "dog/1.jpg", "dog/2.jpg", "dog/old/3.jpg"], "dog have folders of files in them"),
}


@pytest.mark.parametrize("name", BAD_FOLDERS)
def test_folders_that_say_no_classes(tmp_path, name):
    files, text = BAD_FOLDERS[name]
    (tmp_path / "a").mkdir()
    with pytest.raises(DataError, match=f"(?s){text}"):
        config.read(str(lay(tmp_path / "a", *files)))


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("gone.csv", "There must be a file 'gone.csv'; there is none.$"),
        ("my photos", "There must be a folder .*; there is none. Near it there is 'My-Photos'.$"),
        ("a/b", "There must be a folder"),
        ("x.zip", "There must be a file"),
    ],
)
def test_what_is_not_there_is_said(tmp_path, monkeypatch, place, text):
    monkeypatch.chdir(tmp_path)
    Path("My-Photos").mkdir()
    with pytest.raises(DataError, match=text):
        config.read(place)


def test_what_is_no_table_is_said(tmp_path):
    (tmp_path / "a.xlsx").write_bytes(b"x")
    with pytest.raises(DataError, match=r"must be a folder, a table that ends in .*save a spreadsheet as \.csv"):
        config.read(str(tmp_path / "a.xlsx"))


TEXTS = [f"a sentence of some length, number {i}" for i in range(20)]
SPAM = ["ham" if i % 3 else "spam" for i in range(20)]


def column(*cells: object) -> list[object]:
    return [cells[i % len(cells)] for i in range(20)]


# name -> columns, and the keys
TABLES = {
    "by name": ({"id": range(20), "message": TEXTS, "category": SPAM}, {"text": "message", "label": "category"}),
    "by cells": ({"n": range(20), "a": TEXTS, "b": SPAM}, {"text": "a", "label": "b"}),
    "stars": ({"review": TEXTS, "stars": column(1, 2, 3, 4, 5)}, {"label": "stars", "labels": "classes"}),
    "prices": ({"text": TEXTS, "price": [1.5 * i for i in range(20)]}, {"label": "price", "labels": "numbers"}),
    "ages": ({"text": TEXTS, "age": range(30, 50)}, {"label": "age", "labels": "numbers"}),
    "fractions with a comma": (
        {"text": TEXTS, "score": [f"{i},5" for i in range(20)]},
        {"labels": "numbers", "decimal": ","},
    ),
    "commas that may be both": (
        {"text": TEXTS, "score": [f"{i + 1},000" for i in range(20)]},
        {"labels": "numbers", "decimal": None},
    ),
    "points of thousands and fractions with a comma": (
        {"text": TEXTS, "score": column("1.500,00", "2.250,75", "900,50")},
        {"labels": "numbers", "decimal": ","},
    ),
    "points of thousands": (
        {"text": TEXTS, "score": [f"1.{i:03d}.500" for i in range(20)]},
        {"labels": "numbers", "decimal": ","},
    ),
    "sets": ({"text": TEXTS, "tags": column("red;round", "red", "blue")}, {"labels": "sets", "separator": ";"}),
    "names with a comma": (
        {"text": TEXTS, "label": column("Paris, France", "Lyon, France")},
        {"labels": "classes", "separator": None},
    ),
    "columns of 0 and 1": (
        {"text": TEXTS, "toxic": column(0, 1), "rude": column(0, 0, 1)},
        {"labels": "sets", "label": "toxic,rude"},
    ),
    "pairs": (
        {"premise": TEXTS, "hypothesis": TEXTS, "label": SPAM},
        {"text": "premise", "pair": "hypothesis", "label": "label"},
    ),
    "groups": ({"text": TEXTS, "label": SPAM, "patient_id": column(1, 2, 3)}, {"group": "patient_id"}),
    "numbers of folds are no parts": ({"text": TEXTS, "label": SPAM, "fold": column(0, 1, 2)}, {"split": None}),
    "parts": (
        {"text": TEXTS, "label": SPAM, "split": column("train", "train", "test")},
        {"split": "split", "splits.train": "train", "splits.test": "test"},
    ),
}


def keys(found: dict[str, object]) -> dict[str, object]:
    """The keys of data by their short names."""
    return {key.removeprefix("data.").removeprefix("columns."): value for key, value in found.items()}


@pytest.mark.parametrize("name", TABLES)
def test_tables(tmp_path, name):
    columns, expected = TABLES[name]
    file = table(tmp_path / "a.csv", tuple(columns), *zip(*columns.values(), strict=True))
    given = config.read(str(file))
    found = keys(given.changes)
    assert found["source"] == "text_csv"
    assert any("says no parts" in note for note in given.notes) == (name == "numbers of folds are no parts")
    assert {key: found.get(key) for key in expected} == expected


def test_truth_in_a_typed_table_is_a_class(tmp_path):
    rows = [json.dumps({"text": text, "label": bool(i % 2)}) for i, text in enumerate(TEXTS)]
    (tmp_path / "a.jsonl").write_text("\n".join(rows))
    assert config.read(str(tmp_path / "a.jsonl")).changes["data.labels"] == "classes"


def test_what_is_asked_wins(tmp_path):
    rows = zip(TEXTS, SPAM, column("x", "y"), strict=True)
    file = table(tmp_path / "a.csv", ("text", "label", "other"), *rows)
    given = config.read(str(file), ["data.columns.label=other", "train.epochs=3", "optimizer.lr=0.1"])
    assert given.config.data.columns.label == "other" and given.config.train.epochs == 3
    assert given.config.optimizer.lr == 0.1 and not given.config.optimizer.groups  # one rate was meant for all
    assert any("up to 3 epochs" in note and "after 20 min" in note for note in given.notes)
    with pytest.raises(DataError, match=r"--label must name a column of the table \(text, label, other\); got labell"):
        config.read(str(file), ["data.columns.label=labell"])


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"ham\thello you all\nspam\twin now\nham\tsee you\nham\tok\nspam\tx\n", {"header": ("column1", "column2")}),
        ("a;b\nGröße;1\nx;2\n".encode("cp1252"), {"encoding": "cp1252", "delimiter": ";"}),
        ("text\tlabel\nGröße\t1\nx\t2\n".encode("utf-16"), {"encoding": "utf-16"}),
        (b'text\tlabel\n"7" screen\t1\nx"\t2\n', {"quotes": False}),
    ],
)
def test_how_a_table_is_written_is_found_out(tmp_path, raw, expected):
    (tmp_path / "a.tsv").write_bytes(raw)
    found = raw_table.read(tmp_path / "a.tsv", ("text", "label")).changes
    assert found == {f"data.{key}": value for key, value in expected.items()}


def test_tables_in_a_folder_are_parts(tmp_path):
    for name in ("train", "dev", "test"):
        table(tmp_path / f"{name}.csv", ("text", "label"), *zip(TEXTS, SPAM, strict=True))
    table(tmp_path / "unlabelled.csv", ("text",), *zip(TEXTS, strict=True))
    found = keys(changes(tmp_path))
    assert (found["splits.train"], found["splits.validation"], found["splits.test"]) == ("train", "dev", "test")


def test_a_test_table_without_labels_is_none(tmp_path):
    table(tmp_path / "train.csv", ("text", "label"), *zip(TEXTS, SPAM, strict=True))
    table(tmp_path / "test.csv", ("text",), *zip(TEXTS, strict=True))
    assert keys(changes(tmp_path))["divide"] == ("train",)


@pytest.mark.parametrize("cell", ["{}.png", "{}"])
def test_a_table_of_pictures_beside_their_folder(tmp_path, cell):
    (tmp_path / "images").mkdir()
    for i in range(4):
        Image.fromarray(np.full((4, 4, 3), i, np.uint8)).save(tmp_path / "images" / f"p{i}.png")
    rows = [(cell.format(f"p{i}"), "even" if i % 2 else "odd") for i in range(4)]
    table(tmp_path / "labels.csv", ("id", "breed"), *rows)
    for place in (tmp_path, tmp_path / "labels.csv"):
        found = keys(changes(place))
        assert (found["source"], found["image"], found["label"]) == ("picture_table", "id", "breed")
        assert found["pictures"] == str(tmp_path / "images")


def test_json_lines(tmp_path):
    rows = [{"body": text, "tags": ["a", "b"] if i % 2 else ["a"]} for i, text in enumerate(TEXTS)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = keys(changes(tmp_path / "a.jsonl"))
    assert (found["text"], found["label"], found["labels"]) == ("body", "tags", "sets")


BAD_TABLES = {
    "no label": ({"text": TEXTS, "other": [f"{text}!" for text in TEXTS]}, "must have a column of labels"),
    "no text": ({"a": range(20), "b": column(0, 1)}, "must have a column of texts or of paths of pictures"),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_tables_in_which_something_is_missing(tmp_path, name):
    columns, text = BAD_TABLES[name]
    file = table(tmp_path / "a.csv", tuple(columns), *zip(*columns.values(), strict=True))
    with pytest.raises(DataError, match=text):
        config.read(str(file))


def test_uneven_classes_are_weighed(tmp_path):
    rows = [(text, "rare" if i == 0 else "often") for i, text in enumerate(TEXTS)]
    given = config.read(str(table(tmp_path / "a.csv", ("text", "label"), *rows)))
    assert given.changes["task.class_weights"] == ("balanced",)
    assert "class weights: balanced, for 'often' has 19 examples and 'rare' 1" in given.notes


def test_names_that_are_one_to_people_are_counted_as_one():
    assert kinds.counts(["Pos", "pos", "pos", "1.0", "1"]) == {"pos": 3, "1": 2}  # 1 is shorter than 1.0


@pytest.mark.parametrize(
    ("name", "part"),
    [("Train", "train"), ("training-data", "train"), ("dev", "validation"), ("test set", "test"), ("photo", "")],
)
def test_parts_by_their_names(name, part):
    assert parts.role(name) == part


def test_much_data_needs_smaller_parts():
    assert parts.of({"all": 5000}, "classes")[0] == {"data.fractions": (0.7, 0.15, 0.15)}


def test_a_config_is_taken_as_it_is():
    given = config.read("digits", ["optimizer.lr=0.5"])
    assert given.config.optimizer.lr == 0.5 and given.changes == {} and given.name == "digits"


def test_weights_that_nobody_has_are_an_error_with_two_commands(tmp_path, monkeypatch):
    def none(kind, wanted="", last=()):
        raise WeightsError("none")

    monkeypatch.setattr(search, "find", none)
    with pytest.raises(WeightsError):
        config.read(str(lay(tmp_path, *classes())))


def test_pictures_from_scratch_need_no_weights(tmp_path, monkeypatch):
    def none(kind, wanted="", last=()):
        raise AssertionError("nothing is to be looked for")

    monkeypatch.setattr(search, "find", none)
    place = str(lay(tmp_path, *classes()))
    given = config.read(place, ["strategy.name=scratch"])
    assert (given.config.model.family, given.config.model.variant, given.config.model.weights) == ("resnet", "18", "")
    assert given.config.model.card.mean == (0.5, 0.5, 0.5) and "weights: none, resnet 18 begins" in "".join(given.notes)
    asked = ["strategy.name=scratch", "model.family=vit"]
    assert config.read(place, [*asked, "model.variant=tiny16"]).config.model.variant == "tiny16"
    with pytest.raises(ConfigError, match="which vit begins at random: .*tiny16"):
        config.read(place, asked)


def test_no_strategy_is_chosen_where_each_row_names_its_own(tmp_path):
    place = str(lay(tmp_path, *classes()))
    one, rows = config.read(place), config.read(place, rows=True)
    assert one.changes["strategy.name"] == "auto" and any(note.startswith("strategy: ") for note in one.notes)
    assert "strategy.name" not in rows.changes and not any(note.startswith("strategy: ") for note in rows.notes)


def test_a_folder_of_texts_is_read_as_the_config_says(tmp_path):
    for name in ("good", "bad"):
        (tmp_path / name).mkdir()
        for i in range(2):
            (tmp_path / name / f"{i}.txt").write_text(f"{name} {i}")
    own, _ = settings.resolve(config.read(str(tmp_path), ["model.family=bert", "model.variant=tiny"]).config)
    assert len(text_folder.load(own.data).splits["all"]) == 4


def test_columns_that_might_be_the_label_are_all_named(tmp_path):
    rows = [(f"text {i}", "ab"[i % 2], "xyz"[i % 3], i) for i in range(12)]
    given = config.read(str(table(tmp_path / "a.csv", ("text", "one", "other", "number"), *rows)))
    assert any("says that 'one' is the label; other would do too: --label other" in note for note in given.notes)
    given = config.read(str(table(tmp_path / "a.csv", ("text", "label", "other", "number"), *rows)))
    assert not any("would do too" in note for note in given.notes)


def test_a_verb_is_given_a_folder_or_a_config(tmp_path, capsys):
    place = str(lay(tmp_path / "My pictures", *classes()))
    assert config.of_flags(place, None, []).name == "My-pictures"
    assert "data: 4 examples, 2 classes" in capsys.readouterr().out
    notes = config.read(str(lay(tmp_path / "parts", *classes("train/", "test/")))).notes
    assert any("examples in 'train', 2 classes" in note for note in notes)
    assert config.of_flags(None, "configs/digits.py", []).name == "digits"
    assert config.of_flags(None, None, [], default="digits").name == "digits"
    for both in ((place, "digits"), (None, None)):
        with pytest.raises(ConfigError, match="Give one of a folder or table and --config"):
            config.of_flags(*both, [])


def test_a_size_fits_pictures_of_any_shape(tmp_path):
    """Without data.resize, pictures of several shapes do not fit: `--size 64` alone stopped on photographs."""
    for i, name in enumerate(classes()):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (40 + i, 30)).save(tmp_path / name)
    assert changes(tmp_path, "data.size=64")["data.resize"] == "64"
    for asked in (("data.size=64", "data.resize=72"), ()):
        assert "data.resize" not in changes(tmp_path, *asked)


def masks(root, images, named, numbers=2):
    """Pictures of 30 x 40 pixels and masks of 0, 1 and 2."""
    for i in range(numbers):
        for place, pixels in (
            (images, np.full((30, 40, 3), 9 * i, np.uint8)),
            (named, np.eye(30, 40, dtype=np.uint8) * 2),
        ):
            (root / place).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(root / place / f"{i}.png")
    return root


def test_street_scenes_in_train_and_trainannot_need_no_key(tmp_path):
    for part in ("train", "val", "test"):
        masks(tmp_path, part, f"{part}annot")
    found = changes(tmp_path)
    assert found["data.source"] == "image_masks" and found["task.name"] == "segmentation"
    assert (found["data.splits.train"], found["data.splits.validation"], found["data.splits.test"]) == (
        "train", "val", "test",
    )  # fmt: skip
    assert found["data.shape"] == (224, 288)  # 3:4, in steps of 32
    shutil.rmtree(tmp_path / "val")
    notes = config.read(str(tmp_path)).notes
    assert any(note.endswith("of 'train', drawn with the seed, choose the epoch") for note in notes)
    assert changes(tmp_path, "data.size=64")["data.resize"] == "64" and "data.shape" not in changes(
        tmp_path, "data.size=64"
    )


def test_masks_elsewhere_are_named(tmp_path):
    masks(tmp_path, "photos", "drawn")
    found = changes(tmp_path / "photos", f"data.masks={tmp_path / 'drawn'}")
    assert found["data.source"] == "image_masks" and found["data.fractions"] == (0.6, 0.2, 0.2)


def test_masks_are_known_by_their_contents_where_names_say_nothing(tmp_path):
    """Of two folders with the same names; the file of classes beside them is kept, for evaluation elsewhere."""
    rng = np.random.default_rng(0)
    for place, named, pixels in (
        ("701_StillsRaw_full", "{}.png", lambda: rng.integers(0, 256, (30, 40, 3), np.uint8)),
        ("LabeledApproved_full", "{}_L.png", lambda: rng.choice(np.array([0, 128], np.uint8), (30, 40, 3))),
    ):
        (tmp_path / place).mkdir()
        for i in range(3):
            Image.fromarray(pixels()).save(tmp_path / place / named.format(i))
    (tmp_path / "label_colors.txt").write_text("0 0 0 Void\n128 128 128 Sky\n")
    found = changes(tmp_path)
    assert found["data.source"] == "image_masks" and found["data.dir"] == str(tmp_path / "701_StillsRaw_full")
    assert found["data.masks"] == str(tmp_path / "LabeledApproved_full")
    assert found["data.class_file"] == str(tmp_path / "label_colors.txt")


def test_parts_with_masks_are_found_in_the_one_folder_of_an_archive(tmp_path):
    for part in ("train", "test"):
        masks(tmp_path / "CamVid", part, f"{part}annot")
    found = changes(tmp_path)
    assert found["data.dir"] == str(tmp_path / "CamVid")
    assert (found["data.splits.train"], found["data.splits.test"]) == ("train", "test")


def test_class_folders_called_masks_of_photographs_are_classes(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("bare", "face_mask"):
        (tmp_path / name).mkdir()
        for i in range(3):
            Image.fromarray(rng.integers(0, 256, (20, 20, 3), np.uint8)).save(tmp_path / name / f"{i}.png")
    assert changes(tmp_path)["data.source"] == "image_folder"
