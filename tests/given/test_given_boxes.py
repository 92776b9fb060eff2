"""Pictures with boxes: which config a COCO json becomes, and folders of COCO, VOC and YOLO; what is no boxes."""

import json
import shutil

import pytest
from PIL import Image

from tests.data.boxes.test_box_sources import CLASSES, FORMATS
from tljax.core import settings
from tljax.core.errors import DataError
from tljax.given import config, parts
from tljax.weights import search
from tljax.weights.search import Choice


@pytest.fixture(autouse=True)
def asked_of_search(monkeypatch):
    """Weights are looked for in their own tests; here, which families are taken last."""
    asked = []
    choice = Choice("weights.safetensors", "resnet", "18", "for a test")
    monkeypatch.setattr(search, "find", lambda kind, wanted="", last=(): asked.append((kind, last)) or choice)
    return asked


@pytest.mark.parametrize("kind", FORMATS)
def test_each_format_needs_no_key(kind, tmp_path, asked_of_search):
    place = FORMATS[kind](tmp_path / "data")
    given = config.read(str(place))
    assert given.changes["data.source"] == kind and given.changes["task.name"] == "detection"
    assert given.changes["data.fractions"] == parts.SHARES[True]
    assert given.changes["data.shape"] == (224, 320)  # pictures of 20 x 30, in steps of 32
    assert asked_of_search == [("image", ("vit",))]
    assert given.notes[0] == "data: 3 examples, labels are boxes"
    assert given.notes[1].startswith(f"boxes: {kind} in '{place}'") and given.notes[1].endswith(", ".join(CLASSES))
    settings.check(given.config)
    assert config.read(str(place), ["data.size=64"]).changes["data.resize"] == "64"


@pytest.mark.parametrize("kind", FORMATS)
def test_a_folder_within_a_folder(kind, tmp_path):
    FORMATS[kind](tmp_path / "above" / "data")
    assert config.read(str(tmp_path / "above")).changes["data.source"] == kind


def test_masks_beside_boxes_are_told(tmp_path):
    place = FORMATS["voc"](tmp_path / "data")
    assert not any(note.startswith("masks:") for note in config.read(str(place)).notes)
    (place / "SegmentationClass").mkdir()
    for file in (place / "JPEGImages").iterdir():
        Image.new("L", (30, 20)).save(place / "SegmentationClass" / f"{file.stem}.png")
    given = config.read(str(place))
    assert given.changes["data.source"] == "voc"
    assert any(note.endswith(f"--masks {place / 'SegmentationClass'}") for note in given.notes)


def test_coco_as_it_is_published(tmp_path):
    file = FORMATS["coco"](tmp_path / "made")
    (tmp_path / "annotations").mkdir()
    for name in ("instances_train2017", "instances_val2017"):
        shutil.copy(file, tmp_path / "annotations" / f"{name}.json")
    (tmp_path / "annotations" / "captions_val2017.json").write_text(json.dumps({"images": [], "annotations": []}))
    shutil.move(tmp_path / "made" / "images", tmp_path / "images")
    (tmp_path / "made" / "boxes.json").unlink()
    (tmp_path / "made").rmdir()
    given = config.read(str(tmp_path))
    splits = {key: value for key, value in given.changes.items() if key.startswith("data.splits")}
    assert splits == {"data.splits.train": "instances_train2017", "data.splits.test": "instances_val2017"}
    assert any("captions_val2017.json" in note for note in given.notes)


def test_pictures_elsewhere_are_named(tmp_path):
    file = FORMATS["coco"](tmp_path / "data")
    shutil.move(tmp_path / "data" / "images", tmp_path / "far")
    (tmp_path / "boxes").mkdir()
    other = shutil.move(file, tmp_path / "boxes" / "deep.json")
    (tmp_path / "far").rename(tmp_path.parent / f"{tmp_path.name}-far")
    with pytest.raises(DataError, match="no picture 'a.png'"):
        config.read(str(other))
    given = config.read(str(other), [f"data.pictures={tmp_path.parent / f'{tmp_path.name}-far'}"])
    assert given.config.data.pictures.endswith("-far") and given.changes["data.source"] == "coco"


def test_a_json_that_is_not_coco(tmp_path):
    file = tmp_path / "rows.json"
    file.write_text('[{"text": "a", "label": 1}]')
    with pytest.raises(DataError, match="must be COCO's, with images, annotations, categories.*jsonl"):
        config.read(str(file))


def test_other_json_xml_and_text_files_are_no_boxes(tmp_path):
    for name in ("images", "labels"):  # two classes
        (tmp_path / name).mkdir()
        for i in range(2):
            Image.new("RGB", (8, 8)).save(tmp_path / name / f"{name}{i}.jpg")
        (tmp_path / name / "about.json").write_text('{"licence": "none"}')
        (tmp_path / name / "about.xml").write_text("<about/>")
        (tmp_path / name / "about.txt").write_text("five words about these pictures")
    with pytest.raises(DataError, match="look like pictures and their masks"):  # and not boxes
        config.read(str(tmp_path))
