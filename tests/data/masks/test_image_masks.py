"""Pictures with masks: the layouts, what values mean, and every usual mistake by name."""

import numpy as np
import pytest
from PIL import Image

from configs import default
from tljax.core.errors import DataError
from tljax.core.plugins import find
from tljax.core.types import IGNORED
from tljax.data.masks import class_file, layout

SHAPE = (8, 10)


def save(file, pixels, mode=None):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels, mode).save(file)


def mask(*values):
    """Columns of these values."""
    return np.repeat(np.resize(np.array(values, np.uint8), SHAPE[1])[None], SHAPE[0], 0)


def lay(root, masks, images="images/{}.jpg", named="masks/{}.png"):
    """A picture and a mask for each of `masks`: name -> array."""
    for name, pixels in masks.items():
        save(root / images.format(name), np.full((*SHAPE, 3), 90, np.uint8))
        save(root / named.format(name), pixels)
    return root


def load(root, **changes):
    config = default.get_config().data
    config.source = "image_masks"
    source = find("sources", "image_masks")
    with config.unlocked():
        for name, option in source.OPTIONS.items():
            config[name] = option.default
        config.update(dir=str(root), fractions=(0.5, 0.0, 0.5), **changes)
    return source.load(config)


def labels(dataset, split="all"):
    one = dataset.splits[split]
    return [one[i]["label"] for i in range(len(one))]


TWO = {"a": mask(0, 1, 2), "b": mask(0, 2)}
LAYOUTS = {
    "images and masks": (["images/{}.jpg", "masks/{}.png"], "all"),
    "words in names": (["images/{}.jpg", "masks/{}_mask.png"], "all"),
    "splits above": (["train/images/{}.jpg", "train/masks/{}.png"], "train"),
    "splits below": (["images/train/{}.jpg", "annotations/train/{}.png"], "train"),
    "annot": (["train/{}.png", "trainannot/{}.png"], "train"),
    "camvid": (["train/{}.png", "train_labels/{}_L.png"], "train"),
    "one folder": (["{}.jpg", "{}_mask.png"], "all"),
    "one folder, one name": (["train/{}.jpg", "train/{}.png"], "train"),
    "one folder of PNG": (["{}.png", "{}_L.png"], "all"),
    "cityscapes": (["leftImg8bit/train/x/{}_leftImg8bit.png", "gtFine/train/x/{}_gtFine_labelIds.png"], "train"),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts(tmp_path, name):
    (images, masks), split = LAYOUTS[name]
    (plain,) = {
        layout._split(one.pictures.parts) and one.split for one in layout.pairs(lay(tmp_path, TWO, images, masks))
    }
    assert plain == split
    found = load(tmp_path)
    assert [label.tolist() for label in labels(found, split)] == [mask(0, 1, 2).tolist(), mask(0, 2).tolist()]
    assert found.info.classes == ("0", "1", "2") and found.info.labels == "maps"


def test_masks_in_a_folder_of_their_own(tmp_path):
    for split in ("train", "test"):
        lay(tmp_path, TWO, f"photos/{split}/{{}}.jpg", f"elsewhere/{split}/{{}}.png")
    (tmp_path / "codes.txt").write_text("sky\nroad\ncar\n")  # beside both
    found = load(tmp_path / "photos", masks=str(tmp_path / "elsewhere"))
    assert found.info.classes == ("sky", "road", "car")
    assert {name: len(one) for name, one in found.splits.items()} == {"train": 2, "test": 2}


def colour(*colours):
    return np.repeat(np.resize(np.array(colours, np.uint8), (SHAPE[1], 3))[None], SHAPE[0], 0)


SKY, ROAD = (128, 128, 128), (128, 64, 128)
FILES = {
    "names": ("sky\nroad\ncar\n", TWO, ("sky", "road", "car")),
    "values": ("0 sky\n2 car\n1 wide road\n", TWO, ("sky", "car", "wide road")),
    "colours": ("128 128 128\tsky\n128 64 128\troad\n", {"a": colour(SKY, ROAD)}, ("sky", "road")),
    "a table": ("name,r,g,b\nsky,128,128,128\nroad,128,64,128\n", {"a": colour(SKY, ROAD)}, ("sky", "road")),
    "a void class": ("sky\nNot-labelled\ncar\n", TWO, ("sky", "car")),
}


@pytest.mark.parametrize("name", FILES)
def test_files_of_classes(tmp_path, name):
    text, masks, classes = FILES[name]
    lay(tmp_path, masks)
    (tmp_path / "classes.txt").write_text(text)
    found = load(tmp_path)
    assert found.info.classes == classes
    first = labels(found)[0]
    expected = {"names": [0, 1, 2], "values": [0, 2, 1], "a void class": [0, 255, 1]}.get(name, [0, 1])
    assert first[0, : len(expected)].tolist() == expected


def test_what_values_mean_without_a_file(tmp_path):
    cases = {
        "gaps": ({"a": mask(0, 50, 255), "b": mask(50, 99)}, ("0", "50", "99"), [0, 1, 255]),
        "white": ({"a": mask(0, 255), "b": mask(0)}, ("ground", "object"), [0, 1]),
        "colours": ({"a": colour(SKY, ROAD)}, ("#804080", "#808080"), [1, 0]),
        "grey colours": ({"a": colour((0,) * 3, (1,) * 3)}, ("0", "1"), [0, 1]),
    }
    for name, (masks, classes, first) in cases.items():
        found = load(lay(tmp_path / name, masks))
        assert found.info.classes == classes, name
        assert labels(found)[0][0, : len(first)].tolist() == first, name


def test_values_that_number_objects_are_one_class(tmp_path):
    blocks = np.zeros(SHAPE, np.uint8)
    blocks[:, 2:4], blocks[:, 5:7], blocks[:, 8:] = 1, 2, 3
    lay(tmp_path, {"a": blocks, "b": np.where(blocks > 2, 0, blocks)})
    found = load(tmp_path)
    assert found.info.classes == ("ground", "object") and (labels(found)[0] == (blocks > 0)).all()
    assert any("as it seems" in note for note in found.info.notes)
    assert load(tmp_path, mask_values="classes").info.classes == ("0", "1", "2", "3")
    assert load(tmp_path, mask_values="classes", ignore=("3",)).info.classes == ("0", "1", "2")


def paint(root, **masks):
    """Pictures with masks that have a palette: name -> (values, colours of the palette)."""
    (root / "masks").mkdir(parents=True)
    for name, (pixels, palette) in masks.items():
        save(root / "images" / f"{name}.jpg", np.zeros((*SHAPE, 3), np.uint8))
        image = Image.fromarray(pixels, "P")
        image.putpalette([channel for one in palette for channel in one])
        image.save(root / "masks" / f"{name}.png")
    return root


RED, GREEN, BLACK = (200, 0, 0), (0, 200, 0), (0, 0, 0)


def test_palettes_are_indices(tmp_path):
    root = paint(tmp_path, a=(mask(0, 1, 2), [(9, 9, 9), RED, GREEN]))
    assert labels(load(root))[0][0, :3].tolist() == [0, 1, 2]


def test_palettes_of_which_each_has_its_own_order_are_told(tmp_path):
    """As programs leave them that make files smaller: one colour has another number in each file."""
    root = paint(tmp_path, a=(mask(0, 1), [BLACK, RED]), b=(mask(0, 1), [RED, BLACK]))
    with pytest.raises(DataError, match=r"0 is #000000 in '.*a\.png' and #c80000 in '.*b\.png'.*mask_values=colours"):
        load(root)
    found = load(root, mask_values="colours")
    assert found.info.classes == ("#000000", "#c80000")
    assert [one[0, :2].tolist() for one in labels(found)] == [[0, 1], [1, 0]]
    assert [one[0, :2].tolist() for one in labels(load(root, mask_values="classes"))] == [[0, 1], [0, 1]]


def test_palettes_go_by_the_colours_of_a_file_of_classes(tmp_path):
    """Whose lines may stand in another order than the palette's."""
    root = paint(tmp_path, a=(mask(0, 1, 2), [BLACK, RED, GREEN]))
    (root / "classes.txt").write_text("0 200 0 grass\n200 0 0 house\n0 0 0 ground\n")
    found = load(root)
    assert found.info.classes == ("grass", "house", "ground")
    assert labels(found)[0][0, :3].tolist() == [2, 1, 0]
    (root / "classes.txt").write_text("1 1 1 ground\n2 2 2 house\n3 3 3 grass\n")
    found = load(root)
    assert labels(found)[0][0, :3].tolist() == [0, 1, 2]
    assert any("values go by its order" in note for note in found.info.notes)


def test_masks_have_a_limit_of_pixels(tmp_path):
    root = lay(tmp_path, TWO)
    with pytest.raises(DataError, match="more than config.data.max_pixels"):
        load(root, max_pixels=79)


def test_pictures_that_their_tag_turns_are_told(tmp_path):
    """A mask of a square picture, or of one upside down, is as large either way."""
    root = lay(tmp_path, TWO)
    exif = Image.Exif()
    exif[274] = 3
    Image.new("RGB", SHAPE[::-1]).save(root / "images" / "a.jpg", exif=exif)
    found = load(root)
    assert any("1 of 2 pictures" in note and "a.jpg" in note and "masks" in note for note in found.info.notes)


def test_values_that_count_for_nothing(tmp_path):
    """By value, with a file of classes and without; what no mask holds is told."""
    root = lay(tmp_path, TWO)
    for text in ("", "sky\nroad\ncar\n"):
        (root / "classes.txt").write_text(text) if text else None
        found = load(root, ignore=("1",))
        assert found.info.classes == (("sky", "car") if text else ("0", "2"))
        assert labels(found)[0][0, :3].tolist() == [0, IGNORED, 1]
        assert found.splits["all"].pixels.tolist() == [[32, 24], [40, 40]]  # of ten columns of eight
        assert any("no mask holds 7" in note for note in load(root, ignore=("7", "1")).info.notes)
    painted = lay(tmp_path / "painted", {"a": colour(SKY, ROAD, (0, 0, 0)), "b": colour(SKY, ROAD)})
    assert any(
        "nothing tells void" in note and note.endswith("--ignore '#000000'") for note in load(painted).info.notes
    )
    assert any(note.endswith("--ignore 0 or 2") for note in load(lay(tmp_path / "plain", TWO)).info.notes)
    held = load(lay(tmp_path / "with 255", {"a": mask(0, 1, 255)}))
    assert not any("nothing tells void" in note for note in held.info.notes)
    assert any("--ignore '#000000'" in note for note in load(painted).info.notes)
    (painted / "classes.txt").write_text("128 128 128 sky\n128 64 128 road\n0 0 0 rest\n")
    assert load(painted, ignore=("#000000",)).info.classes == ("sky", "road")


def test_the_one_value_without_a_name_is_void_before_or_after_the_classes(tmp_path):
    """Street scenes have void as the last of the values, or the first, and black among colours."""
    root = lay(tmp_path, {"a": mask(1, 2, 3), "b": mask(1, 2)})
    for text, classes, first in (("1 sky\n2 road\n", ("sky", "road"), [0, 1, IGNORED]),
                                 ("2 sky\n3 road\n", ("sky", "road"), [IGNORED, 0, 1])):  # fmt: skip
        (root / "classes.txt").write_text(text)
        found = load(root)
        assert found.info.classes == classes and labels(found)[0][0, :3].tolist() == first
        assert any("has no name" in note and "counts for nothing" in note for note in found.info.notes)
    painted = lay(tmp_path / "painted", {"a": colour(SKY, ROAD, (0, 0, 0))})
    (painted / "classes.txt").write_text("128 128 128 sky\n128 64 128 road\n")
    assert labels(load(painted))[0][0, :3].tolist() == [0, 1, IGNORED]
    (painted / "classes.txt").write_text("128 128 128 sky\n0 0 0 road\n")
    with pytest.raises(DataError, match="#804080 is in most masks"):
        load(painted)


def test_a_value_that_is_in_most_masks_and_of_no_class_is_named_once(tmp_path):
    root = lay(tmp_path, {f"{i}": mask(0, 1, 11) for i in range(40)})
    (root / "classes.txt").write_text("sky\nroad\n")
    with pytest.raises(DataError, match=r"(?s)40 of 40.*and 10 more\n11 is in most masks.*--ignore 11\.") as error:
        load(root)
    assert str(error.value).count("\n") == 33
    assert load(root, ignore=("11",)).info.classes == ("sky", "road")


def test_every_mistake_is_named_with_its_file(tmp_path):
    lay(tmp_path, {name: mask(0, 1) for name in "abcdefgh"})
    (tmp_path / "classes.txt").write_text("sky\nroad\n")
    (tmp_path / "masks" / "a.png").unlink()
    save(tmp_path / "masks" / "b.png", mask(0, 7))
    (tmp_path / "masks" / "c.png").write_bytes(b"no picture")
    save(tmp_path / "masks" / "z.png", mask(0, 1))
    with pytest.raises(DataError) as error:
        load(tmp_path)
    for line in (r"a.jpg: no mask", r"b.png: its mask holds 7, of no class", "c.png: not a whole mask", "3 of 8"):
        assert line in str(error.value)
    kept = load(tmp_path, unreadable="skip")
    assert len(kept.splits["all"]) == 5 and len(kept.info.skipped) == 4
    save(tmp_path / "masks" / "d.png", mask(0, 1)[:, :9])
    with pytest.raises(ValueError, match=r"d\.png' must be as large as the picture, 10 x 8 pixels; it is 9 x 8"):
        labels(load(tmp_path, unreadable="skip"))


def test_modes_that_are_no_masks(tmp_path):
    lay(tmp_path, {"a": mask(0, 1), "b": mask(0, 1)})
    save(tmp_path / "masks" / "a.png", np.full((*SHAPE, 4), 9, np.uint8))
    with pytest.raises(DataError, match=r"a\.png: a mask must have one channel.*its mode is RGBA"):
        load(tmp_path)
    save(tmp_path / "masks" / "a.png", colour(SKY, ROAD))
    with pytest.raises(DataError, match=r"all be colours, or all be values; .*a\.png' has colours, .*b\.png' values"):
        load(tmp_path)


def test_files_of_classes_that_do_not_fit(tmp_path):
    file = tmp_path / "classes.txt"
    for text, message in {
        "sky\n": "at least two",
        "0 sky\nroad\n": "it does not",
        "1 2 sky\n3 4 road\n": "not so line 1, 2",
        "0 sky\n0 road\n": "twice",
    }.items():
        file.write_text(text)
        with pytest.raises(DataError, match=message):
            class_file.read(file)


def test_folders_without_masks(tmp_path):
    save(tmp_path / "photos" / "a.jpg", np.zeros((*SHAPE, 3), np.uint8))
    with pytest.raises(DataError, match=r"must hold pictures and their masks; .*photos.*--masks FOLDER"):
        load(tmp_path)


def test_real_pedestrians(shared):
    found = load(shared / "data" / "pennfudan", object="pedestrian")
    assert found.info.classes == ("ground", "pedestrian") and len(found.splits["all"]) == 170
    assert any("pedestrian 1" in note or "pedestrian" in note for note in found.info.notes)
    one = found.splits["all"][0]
    assert one["label"].shape == one["image"].shape[:2] and set(np.unique(one["label"])) == {0, 1}


def test_what_all_masks_together_show(tmp_path):
    def warnings(name, *masks):
        notes = load(lay(tmp_path / name, dict(zip("abc", masks, strict=False)))).info.notes
        return [note for note in notes if note.startswith("warning")]

    (empty,) = warnings("empty", mask(0), mask(0))
    assert "every pixel is of class 'ground'" in empty
    (two_ways,) = warnings("two ways", mask(0, 255), mask(0, 1), mask(0, 1))
    assert "255 is not counted, and is only in masks (1 of 3)" in two_ways
    assert not warnings("void around objects", mask(0, 255, 1), mask(0, 1), mask(0, 255))
