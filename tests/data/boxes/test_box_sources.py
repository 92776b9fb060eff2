"""COCO's JSON, VOC's XML, YOLO's text, masks of instances: the same boxes, and every usual mistake named."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from configs import default
from tljax.core import plugins, settings
from tljax.core.errors import DataError
from tljax.data.sources import instance_masks

HEIGHT, WIDTH = 20, 30
CLASSES = ("cat", "dog")
# Picture -> its boxes, [top, left, bottom, right, class]; the second has none.
BOXES = {"a": [[2, 4, 10, 12, 0], [0, 0, 20, 30, 1]], "b": [], "c": [[5, 6, 9, 30, 1]]}


def pictures(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in BOXES:
        Image.new("RGB", (WIDTH, HEIGHT)).save(folder / f"{name}.png")


def coco(root: Path) -> Path:
    """A folder with a json and its pictures in images/."""
    pictures(root / "images")
    ids = {name: i for i, name in enumerate(BOXES, start=7)}
    content = {
        "images": [{"id": ids[n], "file_name": f"{n}.png", "width": WIDTH, "height": HEIGHT} for n in BOXES],
        "categories": [{"id": 3, "name": "dog"}, {"id": 1, "name": "cat"}],
        "annotations": [
            {"id": i, "image_id": ids[n], "category_id": (1, 3)[k], "bbox": [x1, y1, x2 - x1, y2 - y1]}
            for n, boxes in BOXES.items()
            for i, (y1, x1, y2, x2, k) in enumerate(boxes)
        ],
    }
    (root / "boxes.json").write_text(json.dumps(content))
    return root / "boxes.json"


def voc(root: Path) -> Path:
    pictures(root / "JPEGImages")
    (root / "Annotations").mkdir()
    for name, boxes in BOXES.items():
        objects = "".join(
            f"<object><name>{CLASSES[k]}</name><bndbox><xmin>{x1 + 1}</xmin><ymin>{y1 + 1}</ymin><xmax>{x2}</xmax>"
            f"<ymax>{y2}</ymax></bndbox></object>"
            for y1, x1, y2, x2, k in boxes
        )
        size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height></size>"
        (root / "Annotations" / f"{name}.xml").write_text(
            f"<annotation><filename>{name}.png</filename>{size}{objects}</annotation>"
        )
    return root


def yolo(root: Path) -> Path:
    pictures(root / "images")
    (root / "labels").mkdir()
    (root / "data.yaml").write_text("names:\n  0: cat\n  1: dog\n")
    for name, boxes in BOXES.items():
        lines = [
            f"{k} {(x1 + x2) / 2 / WIDTH:.6f} {(y1 + y2) / 2 / HEIGHT:.6f} {(x2 - x1) / WIDTH:.6f} "
            f"{(y2 - y1) / HEIGHT:.6f}\n"
            for y1, x1, y2, x2, k in boxes
        ]
        if lines:
            (root / "labels" / f"{name}.txt").write_text("".join(lines))
    return root


FORMATS = {"coco": coco, "voc": voc, "yolo": yolo}


def load(source, place, **changes):
    config = default.get_config()
    config.data.update(source=source, dir=str(place), fractions=(0.5, 0.0, 0.5))
    config.task.name = "classification"
    config.data.update(**changes)
    own, _ = settings.resolve(config)
    return plugins.find("sources", source).load(own.data)


def change(file: Path, old: str, new: str) -> None:
    content = file.read_text()
    assert old in content
    file.write_text(content.replace(old, new, 1))


@pytest.mark.parametrize("source", FORMATS)
def test_the_same_boxes_from_every_format(source, tmp_path):
    found = load(source, FORMATS[source](tmp_path / "data"))
    (split,) = found.splits.values()
    assert found.info.classes == CLASSES and found.info.labels == "boxes" and split.labels is None
    assert [Path(file).stem for file in split.files] == list(BOXES)
    for example, boxes in zip((split[i] for i in range(3)), BOXES.values(), strict=True):
        assert example["image"].shape == (HEIGHT, WIDTH, 3)
        np.testing.assert_allclose(example["label"], np.reshape(boxes, (-1, 5)), atol=1e-4)
        assert example["label"].dtype == np.float32
    assert any("all: 3 in 3 pictures: cat 1, dog 2; 1 pictures without a box stay" in x for x in found.info.notes)


# Name -> (format, file to change, old, new, what is said).
MISTAKES = {
    "coco: beyond the edge": ("coco", "boxes.json", "[4, 2, 8, 8]", "[4, 2, 40, 8]",
                              r"a\.png: box top 2, left 4, bottom 10, right 44: outside of its picture, 30 wide and"),
    "coco: no width": ("coco", "boxes.json", "[4, 2, 8, 8]", "[4, 2, 0, 8]", "left 4, .* right <= left or bottom"),
    "coco: corners": ("coco", "boxes.json", "[6, 5, 24, 4]", "[6, 5, 30, 9]", r"bbox is \[x, y, width, height\]"),
    "coco: category": ("coco", "boxes.json", '"category_id": 1', '"category_id": 2',
                       r"annotation 0: no category has the category_id 2 \(there are 3, 1\)"),
    "coco: picture": ("coco", "boxes.json", '"image_id": 7', '"image_id": 1', "no picture has the image_id 1"),
    "coco: lost": ("coco", "boxes.json", "c.png", "d.png", r"boxes\.json: no picture 'd\.png'"),
    "coco: not a number": ("coco", "boxes.json", "[4, 2, 8, 8]", "[4, 2, NaN, 8]", "a number is not finite"),
    "coco: three numbers": ("coco", "boxes.json", "[4, 2, 8, 8]", "[4, 2, 8]", r"bbox must be .* it is \[4, 2, 8\]"),
    "voc: turned": ("voc", "Annotations/a.xml", "<xmax>12<", "<xmax>3<", "right 3: right <= left"),
    "voc: beyond": ("voc", "Annotations/c.xml", "<ymax>9<", "<ymax>29<", "bottom 29, right 30: outside of its"),
    "voc: no number": ("voc", "Annotations/c.xml", "<ymax>9<", "<ymax><", "object 1: .* must be numbers"),
    "voc: broken": ("voc", "Annotations/c.xml", "</annotation>", "", r"c\.xml: not an annotation of Pascal VOC"),
    "voc: lost": ("voc", "Annotations/c.xml", "c.png", "d.gif", ""),
    "yolo: pixels": ("yolo", "labels/c.txt", "0.6", "18.6", r"c\.txt:1: places must be shares .* it holds 18\.6"),
    "yolo: from 1": ("yolo", "labels/c.txt", "1 ", "2 ", "there is no class 2: .*are classes counted from 1"),
    "yolo: beyond": ("yolo", "labels/c.txt", "0.8", "1.2", "right 1.2: outside of its picture, 1 wide"),
    "yolo: short": ("yolo", "labels/c.txt", " 0.2", "", "it holds 4 numbers"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_or_its_picture_left_out(name, tmp_path):
    source, file, old, new, said = MISTAKES[name]
    place = FORMATS[source](tmp_path / "data")
    change(tmp_path / "data" / file, old, new)
    if not said:  # VOC finds the picture by the name of the XML file
        assert len(load(source, place).splits["all"]) == 3
        return
    with pytest.raises(DataError, match=f"(?s)1 of 3 pictures.*{said}|0 of 3 pictures.*{said}"):
        load(source, place)
    found = load(source, place, unreadable="skip")
    assert len(found.info.skipped) == 1
    assert len(found.splits["all"]) == (3 if "image_id" in said else 2)


def written(file: Path, change) -> None:
    """Write the json again, with `change` on every bbox."""
    content = json.loads(file.read_text())
    for one in content["annotations"]:
        one["bbox"] = change(*one["bbox"])
    file.write_text(json.dumps(content))


def test_boxes_of_another_convention_are_not_left_out_one_by_one(tmp_path):
    """Some of them fit by chance: a run would learn from wrong boxes."""
    shares, corners, again = (coco(tmp_path / name) for name in ("shares", "corners", "again"))
    written(shares, lambda x, y, w, h: [x / WIDTH, y / HEIGHT, w / WIDTH, h / HEIGHT])
    with pytest.raises(DataError, match="must be in pixels; all 3 lie between 0 and 1"):
        load("coco", shares, unreadable="skip")
    written(corners, lambda x, y, w, h: [x, y, x + w, y + h] if (x, y) != (4, 2) else [12, 8, 20, 16])
    with pytest.raises(DataError, match=r"2 of 3 stand out .* all fit as \[left, top, right, bottom\]"):
        load("coco", corners, unreadable="skip")
    content = json.loads(again.read_text())
    again.write_text(json.dumps(content | {"annotations": content["annotations"] * 2}))
    assert any("warning: 3 boxes repeat another one" in note for note in load("coco", again).info.notes)


def test_pixels_counted_from_0_or_from_1(tmp_path):
    """VOC counts from 1; a box that begins at 0 shows that a file does not. What stands out by a pixel is cut."""
    place = voc(tmp_path / "voc")
    change(place / "Annotations" / "a.xml", "<xmin>1</xmin>", "<xmin>0</xmin>")
    found = load("voc", place)
    assert found.splits["all"][0]["label"][0].tolist() == [3, 5, 10, 12, 0]
    assert any("all are counted from 0" in note for note in found.info.notes)
    place = coco(tmp_path / "coco")
    change(place, "[6, 5, 24, 4]", "[7, 6, 24, 4]")
    found = load("coco", place)
    assert found.splits["all"][2]["label"].tolist() == [[6, 7, 10, 30, 1]]
    assert any("1 stood out of their picture by 1 pixel or less" in note for note in found.info.notes)
    place.write_text(place.read_text().replace("[4, 2, 8, 8]", "[5, 3, 8, 8]").replace("[0, 0,", "[1, 1,"))
    found = load("coco", place, first_pixel=1)
    assert [found.splits["all"][i]["label"].tolist() for i in (0, 2)] == [BOXES["a"], BOXES["c"]]


def test_the_first_pixel_that_training_found_holds_for_other_files(tmp_path):
    """A second file, in which no box happens to begin at 0, would else be counted from 1."""
    place = voc(tmp_path / "voc")
    assert load("voc", place).info.settled == {"first_pixel": 1}
    change(place / "Annotations" / "a.xml", "<xmin>1</xmin>", "<xmin>0</xmin>")
    assert load("voc", place).info.settled == {"first_pixel": 0}
    assert load("voc", place, first_pixel=0).info.settled == {}
    said = load("voc", place, first_pixel=1).info.notes
    assert any("some begin at pixel 0, and config.data.first_pixel=1 counts from 1" in note for note in said)


def test_splits_crowds_and_polygons(tmp_path):
    file = coco(tmp_path / "coco")
    content = json.loads(file.read_text())
    content["annotations"][0]["iscrowd"] = 1
    for name in ("train.json", "valid.json"):
        (file.parent / name).write_text(json.dumps(content))
    file.unlink()
    found = load("coco", file.parent, fractions=(), splits={"train": "train", "test": "valid"})
    assert list(found.splits) == ["train", "valid"] and len(found.splits["train"][0]["label"]) == 1
    assert any("2 of crowds" in note for note in found.info.notes)
    content["categories"][0]["name"] = "wolf"
    (file.parent / "valid.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="same categories; .* differ in dog, wolf"):
        load("coco", file.parent, fractions=(), splits={"train": "train", "test": "valid"})
    place = yolo(tmp_path / "yolo")
    (place / "labels" / "b.txt").write_text("1 0.1 0.2 0.5 0.1 0.3 0.6\n")
    np.testing.assert_allclose(load("yolo", place).splits["all"][1]["label"], [[2, 3, 12, 15, 1]], atol=1e-5)
    for name in ("images", "labels"):
        (place / name).rename(place / "moved")
        (place / name).mkdir()
        (place / "moved").rename(place / name / "train")
    assert list(load("yolo", place).splits) == ["train"] and len(load("yolo", place).splits["train"][1]["label"]) == 1


def test_a_picture_of_another_size_than_its_annotation(tmp_path):
    place = coco(tmp_path / "coco")
    Image.new("RGB", (HEIGHT, WIDTH)).save(place.parent / "images" / "c.png")
    with pytest.raises(ValueError, match="for 30 x 20 pixels .*, and it has 20 x 30: it is turned by its EXIF tag"):
        load("coco", place).splits["all"][2]


@pytest.mark.parametrize(
    ("source", "said"), [("coco", "a folder of them"), ("voc", "Annotations"), ("yolo", "labels/")]
)
def test_a_folder_of_something_else(source, said, tmp_path):
    (tmp_path / "cats").mkdir()
    with pytest.raises(DataError, match=said):
        load(source, tmp_path)


def test_boxes_of_masks(tmp_path):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[2:10, 4:12], mask[5:9, 6:30] = 3, 7
    assert instance_masks.boxes_of(mask).tolist() == [[2, 4, 10, 12, 0], [5, 6, 9, 30, 0]]
    pictures(tmp_path / "images")
    (tmp_path / "masks").mkdir()
    for name in "ab":
        Image.fromarray(mask if name == "a" else np.zeros_like(mask)).save(tmp_path / "masks" / f"{name}.png")
    with pytest.raises(DataError, match=r"a mask of its name in .*; 1 have none: c\.png"):
        load("instance_masks", tmp_path)
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "masks" / "c.png")
    with pytest.raises(DataError, match=r"c\.png: not a mask: it must have one channel.*it is RGB"):
        load("instance_masks", tmp_path)
    found = load("instance_masks", tmp_path, unreadable="skip", object="thing")
    assert [len(found.splits["all"][i]["label"]) for i in range(2)] == [2, 0] and found.info.classes == ("thing",)


def test_the_real_pedestrians(shared):
    found = load("instance_masks", shared / "data" / "pennfudan", object="pedestrian")
    split = found.splits["all"]
    assert len(split) == 170
    assert any("423 in 170 pictures: pedestrian 423" in note for note in found.info.notes)  # as its authors count
    first = split[0]
    mask = np.asarray(Image.open(shared / "data" / "pennfudan" / "masks" / f"{Path(split.files[0]).stem}.png"))
    for number, (top, left, bottom, right, _) in enumerate(first["label"].astype(int), start=1):
        inside = mask == number
        assert inside[top:bottom, left:right].sum() == inside.sum()
        assert all(x.any() for x in (inside[top], inside[bottom - 1], inside[:, left], inside[:, right - 1]))
