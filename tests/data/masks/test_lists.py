"""Splits by lists of pictures, where folders name none; and masks of Cityscapes' names."""

import pytest
from PIL import Image

from tests.data.masks.test_image_masks import lay, load, mask
from tljax.core.errors import DataError
from tljax.data.masks import layout
from tljax.given import masks as given

FOUR = {name: mask(0, 1, 2) for name in "abcd"}


def listed(root, **lists):
    """Lists of pictures, a line each: "train.txt" and so on."""
    root.mkdir(parents=True, exist_ok=True)
    for name, lines in lists.items():
        (root / f"{name}.txt").write_text("\n".join(lines) + "\n")


def names(root):
    return {split: [picture.stem for picture, _ in one.both] for split, one in layout.splits(root).tables.items()}


def test_a_line_is_a_name_or_a_path_with_or_without_its_mask(tmp_path):
    lay(tmp_path, FOUR)
    listed(tmp_path, train=["a", "b.jpg"], val=["/home/x/images/c.jpg /home/x/masks/c.png"], test=["images\\d.png 1"])
    (tmp_path / "classes.txt").write_text("sky\nroad\ncar\n")
    assert names(tmp_path) == {"train": ["a", "b"], "val": ["c"], "test": ["d"]}
    found = load(tmp_path)
    assert {name: len(one) for name, one in found.splits.items()} == {"train": 2, "val": 1, "test": 1}
    assert any("by the lists test, train, val" in note for note in found.info.notes)


def test_pictures_in_no_list(tmp_path):
    """They train where only others are listed; else they are left out, and counted: VOC has most without a mask."""
    lay(tmp_path, FOUR)
    listed(tmp_path, valid=["c"])
    assert names(tmp_path) == {"train": ["a", "b", "d"], "valid": ["c"]}
    assert any("3 pictures in none of them are 'train'" in note for note in load(tmp_path).info.notes)
    voc = lay(tmp_path / "voc", FOUR, "JPEGImages/{}.jpg", "SegmentationClass/{}.png")
    for i in range(9):
        Image.new("RGB", (10, 8)).save(voc / "JPEGImages" / f"{i}.jpg")
    listed(
        voc / "ImageSets" / "Segmentation", train=["a", "b"], val=["c", "d"], trainval=["a", "b", "c", "d"], test=["1"]
    )
    found = given.look(voc, {})
    assert found and found.changes["data.splits.train"] == "train" and found.changes["data.splits.test"] == "val"
    assert any("8 pictures in none of them are left out; not test, whose pictures have no masks" in note
               for note in load(voc).info.notes)  # fmt: skip


def test_what_a_list_names_and_is_not_there(tmp_path):
    lay(tmp_path, FOUR)
    listed(tmp_path, train=["a", "b", "e"], test=["c", "d"])
    with pytest.raises(DataError, match=r"1 of 5 have not:\n.*/e: no such picture, which a list names"):
        load(tmp_path)


def test_texts_that_are_no_lists(tmp_path):
    lay(tmp_path, FOUR)
    listed(tmp_path, readme=["a picture of b", "is not here"], classes=["sky", "road", "car"])
    assert list(names(tmp_path)) == ["all"]


def test_the_other_pictures_beside_a_mask_of_cityscapes(tmp_path):
    """Colours and instances are no masks; of the numbers for training and of all, those for training are read."""
    lay(tmp_path, {"a": mask(0, 1)}, "leftImg8bit/train/x/{}_leftImg8bit.png", "gtFine/train/x/{}_gtFine_labelIds.png")
    place = tmp_path / "gtFine" / "train" / "x"
    for kind in ("color", "instanceIds"):
        Image.new("RGB", (10, 8)).save(place / f"a_gtFine_{kind}.png")
    (one,) = layout.splits(tmp_path).tables.values()
    assert [path.name for _, path in one.both] == ["a_gtFine_labelIds.png"] and not one.left
    Image.new("L", (10, 8)).save(place / "a_gtFine_labelTrainIds.png")
    (one,) = layout.splits(tmp_path).tables.values()
    assert [path.name for _, path in one.both] == ["a_gtFine_labelTrainIds.png"] and not one.left
