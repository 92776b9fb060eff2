"""Copies: exact ones by their pixels, near ones by a hash; counted, listed, left out where asked."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from tljax.core.errors import DataError
from tljax.data.picture import duplicates as between_parts

RNG = np.random.default_rng(0)


def scene(seed: int, size: int = 64) -> np.ndarray:
    """A smooth picture, as photographs are."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC))


def compressed(image: np.ndarray, quality: int = 60) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


class Part:
    """What `look` needs of `decoded_pictures.Pictures`."""

    def __init__(self, name: str, images: list[np.ndarray], labels: list[int]) -> None:
        self.prints = np.array([between_parts.of(image) for image in images], between_parts.PRINT)
        self.subset, self.shape = SimpleNamespace(labels=np.array(labels)), images[0].shape
        self.title, self.left = name, {}

    def name(self, position: int) -> str:
        return f"{self.title}/{position}"

    def leave_out(self, why: dict[int, str]) -> None:
        self.left = why


def look(duplicates: str = "keep", near_copies: int = 8, **parts) -> tuple:
    made = {name: Part(name, *content) for name, content in parts.items()}
    config = SimpleNamespace(duplicates=duplicates, near_copies=near_copies)
    return *between_parts.look(made, config), made


def test_exact_copies_between_parts_are_counted_and_listed():
    train = [scene(i) for i in range(6)]
    said, listed, _ = look(train=(train, [0, 1] * 3), test=([*train[:3], scene(50)], [0, 1, 0, 1]))
    assert said[0] == "copies: 3 of 4 test pictures are also in train"
    assert listed["copies.txt"].splitlines() == [f"the same pixels\ttrain/{i}\ttest/{i}" for i in range(3)]


def test_near_copies_are_found_and_others_are_not():
    train = [scene(i) for i in range(40)]
    test = [compressed(train[3]), (train[5] * 0.9).astype(np.uint8), *(scene(100 + i) for i in range(40))]
    said, listed, _ = look(train=(train, [0] * 40), test=(test, [0] * 42))
    assert said[0] == "copies: 0 of 42 test pictures are also in train, 2 more look like one there"
    assert listed["copies.txt"].splitlines() == ["alike\ttrain/3\ttest/0", "alike\ttrain/5\ttest/1"]
    said, listed, _ = look(near_copies=-1, train=(train, [0] * 40), test=(test, [0] * 42))
    assert said == ("copies: none among 82 pictures (only equal ones were looked for)",) and listed == {}


def test_near_pairs_are_those_of_a_search_without_buckets():
    images = [scene(i) for i in range(30)]
    images += [compressed(one, quality) for one in images for quality in (20, 60)]
    prints = np.array([between_parts.of(image) for image in images], between_parts.PRINT)
    found = between_parts.find([prints], [np.zeros(90)], 8).near
    i, j = np.triu_indices(90, 1)
    near = np.bitwise_count(prints["hash"][i] ^ prints["hash"][j]) <= 8
    pairs = np.stack([i, j], axis=1)[near]
    grey = prints["grey"].astype(float)
    expected = [pair for pair in pairs.tolist() if np.corrcoef(grey[pair])[0, 1] >= between_parts.ALIKE]
    assert found.tolist() == expected and len(expected) > 40


def test_flat_pictures_of_two_colours_are_no_copies():
    flat = [np.full((64, 64, 3), colour, np.uint8) for colour in ((200, 0, 0), (0, 200, 0), (0, 0, 90), (9, 9, 9))]
    said, listed, _ = look(train=(flat[:2], [0, 1]), test=(flat[2:], [0, 1]))
    assert (
        said == ("copies: none among 4 pictures (and none that look alike: config.data.near_copies=8)",)
        and listed == {}
    )


def test_small_pictures_have_exact_copies_alone():
    train = [scene(i, 28) for i in range(4)]
    test = [compressed(train[0], 95), train[1]]
    said, _, _ = look(train=(train, [0] * 4), test=(test, [0] * 2))
    assert said[0] == "copies: 1 of 2 test pictures are also in train"


def test_one_picture_in_two_classes_is_said_and_leaves_as_a_whole():
    images = [scene(0), scene(1), scene(0), scene(2), scene(1)]
    said, listed, made = look("remove", train=(images, [0, 1, 1, 0, 1]), test=([scene(9)], [0]))
    assert "copies: 2 pictures have an exact copy with another label" in said
    assert "the same pixels, another label\ttrain/2\ttrain/0" in listed["copies.txt"]
    assert set(made["train"].left) == {0, 2, 4}  # 4 repeats 1
    assert made["train"].left[4] == "repeats train/1" and "another label" in made["train"].left[0]


def test_what_is_left_out_leaves_training_and_the_test_part_keeps_its_own():
    train = [scene(i) for i in range(6)]
    test = [train[0], compressed(train[1]), scene(70)]
    said, _, made = look(
        "remove", train=(train, [0] * 6), validation=([train[0], scene(8)], [0, 0]), test=(test, [0] * 3)
    )
    assert made["test"].left == {}
    assert made["validation"].left == {0: "repeats test/0"}
    assert made["train"].left == {0: "repeats test/0", 1: "looks like test/1"}
    assert said[-1] == "copies: 3 pictures are left out (config.data.duplicates=remove)"


@pytest.mark.parametrize("in_memory", [True, False])
def test_parts_lose_their_copies(in_memory):
    from configs import default
    from tljax.core.types import Card
    from tljax.data.decoded_pictures import Pictures
    from tljax.data.parts.subsets import Subset

    class Scenes:
        labels = np.array([0, 1, 0, 1, 0], np.int32)

        def __len__(self) -> int:
            return 5

        def __getitem__(self, i: int) -> dict:
            return {"image": scene(min(i, 3)), "label": int(self.labels[i]), "id": str(i)}

    config = default.get_config().data
    config.update(in_memory=in_memory, size=64)
    part = Pictures(Subset(Scenes(), np.arange(5), Scenes.labels), config, Card((0.5,) * 3, (0.5,) * 3))
    part.leave_out({1: "repeats another"})
    assert part.skipped == ("example 1: repeats another",) and len(part) == 4
    taken = part.take(np.arange(4))
    np.testing.assert_array_equal(taken["image"], [scene(i) for i in (0, 2, 3, 3)])
    assert taken["label"].tolist() == [0, 0, 1, 0]
    with pytest.raises(DataError, match="Some picture of every class must be left"):
        part.leave_out({2: "repeats another"})
