"""Tables and folders that people really have, of the shared cases: each is read right, or named as what it is."""

import importlib.util
import shutil
from types import SimpleNamespace

import pytest

from configs import default
from tljax.core import plugins, settings
from tljax.core.errors import DataError
from tljax.core.types import Card
from tljax.data import folders, pictures
from tljax.data.inputs import image
from tljax.data.parts import splits

TWO, SIGNS = ("0", "1"), ("-1", "+1")
# Name -> its classes; every table has 12 rows.
READ = {
    "Upper.csv": TWO, "bom_crlf.csv": TWO, "cr_only.csv": TWO, "cr_only.jsonl": TWO, "embedded_nl.csv": TWO,
    "index_col.csv": TWO, "intstr.jsonl": TWO, "plain.csv": TWO, "plus_minus.csv": SIGNS, "semicolon.csv": TWO,
    "spaces_header.csv": TWO, "tsv_inch.tsv": TWO, "tsv_quotes.tsv": TWO, "sets_comma.csv": ("x,y", "z"),
    "sets_pylist.csv": ("['x', 'y']", "['z']"),
}  # fmt: skip
# Name -> what is said.
REFUSED = {
    "array_in_jsonl.jsonl": "It is one array of all: write each of its objects on a line",
    "json_array.json": r"no .csv, .tsv, .jsonl, .parquet",
    "deccomma.csv": r"config.data.labels=numbers and config.data.decimal",
    "thousand.csv": r"config.data.labels=numbers and config.data.decimal",
    "excel_utf16.csv": r"is utf-16, as Excel saves it.*config.data.encoding=utf-16",
    "list_text.jsonl": r"12 of .*jsonl:1: 'text' must be a text; it is \[.*\(a list\)",
    "missing_key.jsonl": r"jsonl:6 must have the column 'label'",
    "mixed_case.csv": r"'Neg' and 'neg' \(3, 3 examples\); 'Pos' and 'pos'.*similar_labels=merge",
    "mixed_int_float.csv": r"'0' and '0.0' \(3, 3 examples\); '1' and '1.0'",
    "mixed_intstr.jsonl": r"'0' and '0.0' \(3, 3 examples\); '1' and '1.0'",
    "t_mix.csv": r"'0.0' and '0' \(35, 25 examples\)",
    "zero_padded.csv": r"'0' and '00' \(3, 3 examples\); '1' and '01'",
    "sets_case.csv": r"'A\|b' and 'a\|B' \(6, 6 examples\)",
    "nan_label.csv": r"csv:5: 'label' must hold a label; it is 'nan'",
    "nan_label.jsonl": r"jsonl:4: 'label' must hold a label; it is NaN",
    "nan_text.csv": r"1 do not: .*csv:5.*unreadable=skip",
    "nan_text.jsonl": r"1 do not: .*jsonl:4.*unreadable=skip",
    "no_header.csv": r"must have the column 'text'.*config.data.header",
    "open_quote.csv": r"the lines 4 to 8 are one row.*no partner",
    "sets_float.csv": r"must have the column 'label'.*it has text, a, b",
    "sets_prob.csv": r"must have the column 'label'.*it has text, a, b",
    "sets_yes.csv": r"must have the column 'label'.*it has text, a, b",
}
# Name -> the keys that tell what it is, and the labels' kind that comes of them.
TOLD = {
    "deccomma.csv": {"labels": "numbers", "decimal": ","},
    "thousand.csv": {"labels": "numbers", "decimal": "."},
    "excel_utf16.csv": {"encoding": "utf-16"},
    "mixed_case.csv": {"similar_labels": "merge"},
    "nan_text.csv": {"unreadable": "skip"},
    "no_header.csv": {"header": ("text", "label")},
}
PARTS = {"splits.train": "train", "splits.test": "test"}
# Layout of make_folders.py -> keys, examples of every split, classes; or what is said.
FOLDERS = {
    "jpeg_warnings": (PARTS, {"train": 19, "test": 8}, ("green", "red")),
    "exif": (PARTS, {"train": 17, "test": 8}, ("green", "red")),
    "unlabelled_test": ({"splits.train": "train", "splits.test": "val"}, {"train": 16, "val": 8}, ("green", "red")),
    "macosx": (PARTS, {"train": 16, "test": 8}, ("green", "red")),
    "annotations": (PARTS, {"train": 16, "test": 8}, ("green", "red")),
    "numbers": (PARTS, {"train": 24, "test": 12}, ("1", "2", "10")),
    "leak": (PARTS, {"train": 16, "test": 8}, ("green", "red")),
    "one_level": ({"fractions": (0.5, 0.0, 0.5)}, {"all": 16}, ("green", "red")),
    "patients": ({"fractions": (0.5, 0.0, 0.5)}, {"all": 60}, ("ill", "well")),
    "first": (PARTS, {"train": 24, "test": 12}, ("a", "b", "c")),
    "composed": (PARTS, r"caf\\u0301e|cafe\\u0301|\\u0301", ()),
    "space": (PARTS, r"'cat '", ()),
}


def resolved(source, place, **keys):
    config = default.get_config()
    config.data.update(source=source, dir=str(place))
    if source == "text_csv":
        config.model.family, config.data.fractions = "bert", (0.5, 0.0, 0.5)
    for key, value in keys.items():
        table, _, name = key.rpartition(".")
        (config.data[table] if table else config.data)[name] = value
    return settings.resolve(config)[0]


def load(source, place, **keys):
    return plugins.find("sources", source).load(resolved(source, place, **keys).data)


def chosen(place, **keys):
    """The parts of a folder, and the config."""
    config = resolved("image_folder", place, **keys)
    return splits.choose(plugins.find("sources", "image_folder").load(config.data), config.data, seed=0), config


@pytest.fixture
def tables(shared, tmp_path):
    """A folder that holds one table of the shared ones, as train.csv."""

    def put(name):
        file = shared / "cases/tables" / name
        shutil.copy(file, tmp_path / f"train{file.suffix}")
        return tmp_path

    return put


@pytest.mark.parametrize("name", READ)
def test_a_table_is_read(tables, name):
    found = load("text_csv", tables(name))
    (split,) = found.splits.values()
    assert len(split) == 12 and found.info.classes == READ[name]
    assert all(row.text.strip() == row.text for row in split.rows)


@pytest.mark.parametrize("name", REFUSED)
def test_a_table_is_named_as_what_it_is(tables, name):
    with pytest.raises(DataError, match=f"(?s){REFUSED[name]}"):
        load("text_csv", tables(name))


@pytest.mark.parametrize("name", TOLD)
def test_the_key_that_is_named_helps(tables, name):
    found = load("text_csv", tables(name), **TOLD[name])
    (split,) = found.splits.values()
    assert len(split) == (11 if name == "nan_text.csv" else 12)
    if name == "deccomma.csv":
        assert list(split.labels[:2]) == [0.5, 1.5]
    elif name == "thousand.csv":
        assert list(split.labels[:2]) == [1000, 1037]
    else:
        assert len(found.info.classes) == 2


def test_no_table_is_left_out(shared):
    assert {file.name for file in (shared / "cases/tables").iterdir()} == {*READ, *REFUSED}


@pytest.fixture(scope="module")
def layouts(tmp_path_factory):
    """What make_folders.py of the shared cases makes."""
    from tests.conftest import SHARED

    if not SHARED.is_dir():
        pytest.skip(f"the real data and weights are not here ({SHARED}); set TLJAX_SHARED")
    spec = importlib.util.spec_from_file_location("make_folders", SHARED / "cases/make_folders.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    root = tmp_path_factory.mktemp("layouts")
    module.main(root)
    return root


@pytest.mark.parametrize("name", FOLDERS)
def test_a_layout_is_read_or_named(layouts, name):
    keys, numbers, classes = FOLDERS[name]
    if isinstance(numbers, str):
        with pytest.raises(DataError, match=numbers):
            load("image_folder", layouts / name, **keys)
        return
    found = load("image_folder", layouts / name, **keys)
    assert {split: len(examples) for split, examples in found.splits.items()} == numbers
    assert found.info.classes == classes


def test_a_leak_is_counted(layouts):
    parts, config = chosen(layouts / "leak", resize=40, size=40, **PARTS)
    backbone = SimpleNamespace(resized=lambda *_: "")
    found = image.load(
        parts.parts, config.data, model=config.model, card=Card((0.5,) * 3, (0.5,) * 3), backbone=backbone
    )
    assert any("8 of 8 test pictures are also in train" in note for note in found.notes)


def test_no_person_is_in_two_parts(layouts):
    parts, _ = chosen(layouts / "patients", fractions=(0.5, 0.0, 0.5), group="/(p[0-9]+)_")
    persons = [set(part.groups) for part in parts.parts.values()]
    assert len(persons) == 2 and not persons[0] & persons[1] and len(persons[0] | persons[1]) == 12


def test_the_first_examples_of_a_sorted_folder_are_of_all_classes(layouts):
    parts, _ = chosen(layouts / "first", train_examples=6, **PARTS)
    assert sorted(parts.parts["train"].labels) == [0, 0, 1, 1, 2, 2] and "drawn by seed" in " ".join(parts.notes)


def test_predict_answers_for_what_training_reads(layouts):
    found = [path.relative_to(layouts / "asked") for path in folders.inside(layouts / "asked", pictures.SUFFIXES)]
    assert list(map(str, found)) == ["a/1.png", "b/2.png"]


def test_no_layout_is_left_out(layouts):
    assert {place.name for place in layouts.iterdir()} == {*FOLDERS, "asked", "asked_real"}
