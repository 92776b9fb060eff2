"""Lists of X-rays: classes, patients, where pictures are looked for, and what is wrong with lines and pictures."""

from pathlib import Path

import pytest
from PIL import Image

from configs import default
from tljax.core.errors import ConfigError, DataError
from tljax.data.parts import splits
from tljax.data.sources import covidx

LINES = ("p1 a.png normal nih", "p1 b b.png normal nih", "p2 c.png COVID-19 cohen", "p3 d.png normal nih")


@pytest.fixture
def folder(tmp_path):
    return lay(tmp_path, "train", LINES)


def lay(root: Path, split: str, lines: tuple[str, ...], home: str = "pictures") -> Path:
    (root / f"{split}.txt").write_text("\n".join(lines) + "\n\n")
    (root / home).mkdir(exist_ok=True)
    for i, line in enumerate(lines):
        Image.new("L", (4, 4), 10 * i).save(root / home / " ".join(line.split()[1:-2]))
    return root


def load(root: Path, **changes):
    config = default.get_config().data
    config.update(dir=str(root), channels=1, **{"pictures": "", "encoding": "utf-8"} | changes)
    return covidx.load(config)


def test_classes_and_pictures(folder):
    found = load(folder, fractions=(0.5, 0.0, 0.5))
    split = found.splits["train"]
    assert found.info.classes == ("COVID-19", "normal") and split.labels.tolist() == [1, 1, 0, 1]
    assert [split[i]["image"][0, 0, 0] for i in range(4)] == [0, 10, 20, 30] and split[1]["id"].endswith("b b.png")


def test_lists_are_splits_with_folders_of_their_own(folder):
    lay(folder, "test", ("p9 z.png normal nih",), home="test")
    (folder / "notes.txt").write_text("no list")
    found = load(folder)
    assert {name: len(split) for name, split in found.splits.items()} == {"test": 1, "train": 4}
    assert found.info.unread == ("notes",)


@pytest.mark.parametrize(("group", "owners"), [("patient", ["p1", "p1", "p2", "p3"]), ("source", ["nih"] * 2)])
def test_groups(folder, group, owners):
    split = load(folder, group=group, fractions=(0.5, 0.0, 0.5)).splits["train"]
    assert list(split.groups)[: len(owners)] == owners


def test_a_patient_is_in_one_part(tmp_path):
    root = lay(tmp_path, "list", tuple(f"p{i // 4} {i}.png {'ab'[i // 4 % 2]} nih" for i in range(48)))
    for group in ("patient", ""):
        config = default.get_config()
        config.data.update(dir=str(root), group=group, fractions=(0.5, 0.0, 0.5), channels=1)
        config.data.unlock()
        config.data.update(pictures="", encoding="utf-8")
        parts, *_ = splits.choose(covidx.load(config.data), config.data, 0)
        train, test = ({int(i) // 4 for i in parts[name].indices} for name in ("train", "test"))
        assert bool(train & test) == (not group)


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (("p1 a.png normal",), r"train.txt:1: 3 fields"),
        (("p1 gone.png normal nih",), r"train.txt:1: no picture 'gone.png'.*config.data.pictures"),
        (("p1 a.png Normal nih", "p2 c.png normal nih"), "differ only in spelling|spelling"),
    ],
)
def test_what_is_wrong_is_named(folder, lines, text):
    (folder / "train.txt").write_text("\n".join(lines))
    with pytest.raises(DataError, match=text):
        load(folder, fractions=(0.5, 0.0, 0.5))


def test_no_list_and_an_unknown_group(tmp_path, folder):
    with pytest.raises(DataError, match=r"must hold lists such as train.txt, .*it holds none"):
        load(tmp_path / "pictures")
    with pytest.raises(ConfigError, match="must be '', patient or source; got 'sex'"):
        load(folder, group="sex")
