"""Pictures in folders: classes by name, what is wrong named in full, what is left out listed."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from configs import default
from tljax.core.errors import ConfigError, DataError
from tljax.data.parts import splits
from tljax.data.sources import image_folder


def make(root: Path, *names: str) -> Path:
    """Files "split/class/name.png", each a picture of one colour; names that end in / are folders."""
    for i, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir()
        elif path.suffix in (".txt", ".gif"):
            path.write_text("no picture")
        else:
            Image.new("RGB", (5, 4), (10 * i, 0, 0)).save(path, "PNG")
    return root


def load(root: Path | str, **changes):
    config = default.get_config().data
    config.update(dir=str(root), **changes)
    return image_folder.load(config)


FILES = ("train/bee/1.png", "train/ant/2.PNG", "train/ant/10.jpeg", "test/ant/3.png", "test/bee/4.bmp")


def test_labels_are_bound_by_name(tmp_path):
    dataset = load(make(tmp_path, *FILES))
    assert dataset.info.classes == ("ant", "bee") and dataset.info.skipped == ()
    assert {name: split.labels.tolist() for name, split in dataset.splits.items()} == {
        "test": [0, 1],
        "train": [0, 0, 1],
    }
    train = dataset.splits["train"]
    assert [path.name for path in train.files] == ["10.jpeg", "2.PNG", "1.png"]
    example = train[2]
    assert example["label"] == 1 and example["id"] == str(tmp_path / "train" / "bee" / "1.png")
    np.testing.assert_array_equal(example["image"], np.zeros((4, 5, 3), np.uint8))
    assert dataset.splits["test"][0]["image"][0, 0].tolist() == [30, 0, 0]


def test_a_class_that_test_lacks_keeps_the_numbers(tmp_path):
    dataset = load(make(tmp_path, "train/ant/1.png", "train/bee/1.png", "train/cat/1.png", "test/cat/1.png"))
    assert dataset.splits["test"].labels.tolist() == [2]


def test_channels(tmp_path):
    assert load(make(tmp_path, *FILES), channels=1).splits["train"][0]["image"].shape == (4, 5, 1)


def test_what_is_left_out_is_listed(tmp_path):
    odd = (
        "train/ant/notes.txt",
        "train/ant/a.gif",
        "train/readme.txt",
        "train/bee/more/5.png",
        "train/bee/.hidden.png",
        "xml/ant/1.txt",
        "unlabelled/unknown/1.png",
        "__MACOSX/train/ant/1.png",
    )
    dataset = load(make(tmp_path, *FILES, *odd, ".cache/x/1.png", "empty/"))
    assert set(dataset.splits) == {"train", "test"}
    assert sorted(row.removeprefix(f"{tmp_path}/") for row in dataset.info.skipped) == [
        ".cache: hidden, or left by a program",
        "__MACOSX: hidden, or left by a program",
        "empty: a folder without pictures",
        "train/ant/a.gif: its suffix is not that of pictures",
        "train/ant/notes.txt: its suffix is not that of pictures",
        "train/bee/more: a folder, which is not read (1 pictures in it): pictures must lie directly in a class folder",
        "train/bee: 1 hidden files (.hidden.png)",
        "train/readme.txt: not in a class folder",
        "xml: a folder without pictures",
    ]
    assert dataset.info.unread == ("unlabelled",)  # a folder of pictures that the config does not name
    assert len(dataset.splits["train"]) == 3


def test_a_class_of_one_split_is_fine_where_all_examples_are_divided(tmp_path):
    make(tmp_path, *FILES, "test/cat/1.png")
    assert load(tmp_path, fractions=(0.5, 0.0, 0.5)).info.classes == ("ant", "bee", "cat")


ERRORS = {
    "empty class folders": (
        (*FILES, "train/cat/", "test/dog/notes.txt"),
        r"must hold pictures with a known suffix; empty: test/dog, train/cat. Add pictures or remove the folders",
    ),
    "classes only in test": (
        (*FILES, "test/cat/1.png", "test/dog/1.png"),
        r"training split 'train' of .* \(ant, bee\); only in other splits: test: cat, test: dog. Rename or remove",
    ),
    "spellings": (
        ("train/caf\u00e9/1.png", "train/bee/1.png", "test/cafe\u0301/1.png", "test/bee/1.png"),
        r"these do not: 'caf\\xe9' and 'cafe\\u0301' \(1, 1 examples\)\. .* config\.data\.similar_labels=merge",
    ),
    "a space": ((*FILES, "train/ant /4.png"), r"these do not: 'ant' and 'ant ' \(3, 1 examples\)"),
    "no class folders": (
        ("train/1.txt",),
        r"class folders of pictures .* but has none. The layout is .*/<split>/.*without splits .*/<class>/<file>",
    ),
    "nothing": ((), "must hold class folders of pictures .*or splits with class folders"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name, tmp_path):
    files, text = ERRORS[name]
    with pytest.raises(DataError, match=re.compile(text)):
        load(make(tmp_path, *files))


def test_spellings_may_be_merged_or_kept_apart(tmp_path):
    root = make(tmp_path, "train/Ant/1.png", "train/ant /2.png", "train/Ant/3.png", "train/bee/1.png", "test/ANT/1.png")
    merged = load(root, similar_labels="merge")
    assert merged.info.classes == ("Ant", "bee") and merged.splits["train"].labels.tolist() == [0, 0, 0, 1]
    assert merged.splits["test"].labels.tolist() == [0] and "'Ant' and 'ANT' and 'ant '" in merged.info.notes[0]
    assert load(root, similar_labels="keep", fractions=(0.5, 0, 0.5)).info.classes == ("ANT", "Ant", "ant ", "bee")


def test_class_folders_at_once_are_one_split_to_divide(tmp_path):
    root = make(tmp_path, "10/1.png", "2/1.png", "1/1.png", "1/._1.png", "notes/a.txt", "readme.txt")
    dataset = load(root, fractions=(0.5, 0.0, 0.5))
    assert list(dataset.splits) == ["all"] and dataset.info.classes == ("1", "2", "10")
    assert dataset.splits["all"].labels.tolist() == [0, 2, 1] and len(dataset.splits["all"].files) == 3
    left_out = {row.removeprefix(f"{root}/") for row in dataset.info.skipped}
    assert left_out == {"notes: a folder without pictures", "1: 1 hidden files (._1.png)"}
    config = default.get_config().data
    with pytest.raises(ConfigError, match=r"\(all\), at least to train.*--config.data.fractions='\(0.8, 0, 0.2\)'"):
        splits.choose(load(root), config, 0)


def test_splits_that_nobody_named_may_be_anything(tmp_path):
    root = make(tmp_path, *FILES[:3], "val/ant/3.png", "test/unknown/1.png", "other/ant/notes.txt", "test/empty/")
    dataset = load(root, splits={"test": "val"})
    assert list(dataset.splits) == ["train", "val"] and dataset.info.classes == ("ant", "bee")
    assert dataset.info.unread == ("test",) and "other: a folder without pictures" in dataset.info.skipped[0]


def test_a_folder_that_cannot_be_read_is_a_fault_of_the_data(tmp_path, monkeypatch):
    """By a stand-in, for a test that runs as root may read everything."""
    root, plain = make(tmp_path, *FILES), Path.iterdir

    def closed(folder):
        if folder.name == "bee":
            raise PermissionError(13, "Permission denied", str(folder))
        return plain(folder)

    monkeypatch.setattr(Path, "iterdir", closed)
    with pytest.raises(DataError, match=r"'.*/bee' must be a folder that can be read: Permission denied\."):
        load(root)


def test_a_missing_folder(tmp_path):
    with pytest.raises(DataError, match=f"no folder '{tmp_path}/nowhere'. Set config.data.dir; the layout is"):
        load(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no folder ''. Set config.data.dir"):
        load("")


def test_real_folders(shared):
    """The standard ants and bees: 244 + 153 photographs, one GIF of a placeholder left out."""
    dataset = load(shared / "data" / "ants_bees", splits={"test": "val"})
    assert dataset.info.classes == ("ants", "bees")
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 244, "val": 153}
    assert [Path(row).name for row in dataset.info.skipped] == ["imageNotFound.gif: its suffix is not that of pictures"]


def test_a_link_to_nothing_and_a_folder_among_pictures_are_named_as_what_they_are(tmp_path):
    for name in ("train/ant/a.png", "train/bee/more/b.png", "train/bee/more/deep/c.png", "train/bee/d.png"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(file)
    (tmp_path / "train" / "ant" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    assert load(tmp_path).info.skipped == (
        f"{tmp_path}/train/ant/gone.png: a broken link ({tmp_path}/nowhere.png)",
        f"{tmp_path}/train/bee/more: a folder, which is not read (2 pictures in it): pictures must lie directly "
        f"in a class folder",
    )


@pytest.mark.parametrize("bad", ["train/b\udcff/1.png", "train/bee/\udcff.png", "test/\udcff.txt"])
def test_a_name_that_no_report_can_hold_is_refused(tmp_path, bad):
    root = make(tmp_path, *FILES)
    make(root, bad)
    with pytest.raises(DataError, match=r"(?s)must be UTF-8; [12] are not:\n  '.*\\udcff.*'\nRename them"):
        load(root)
