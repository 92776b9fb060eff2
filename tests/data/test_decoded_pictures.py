"""The pictures of a part, in memory or decoded for every batch: what is unreadable is named, nothing in its place."""

import tracemalloc

import numpy as np
import pytest
from PIL import Image

from configs import default
from tljax.core.errors import DataError
from tljax.core.types import Card
from tljax.data.batches import Evaluation, Training
from tljax.data.decoded_pictures import Pictures
from tljax.data.parts.subsets import Joined, Subset
from tljax.data.picture import grey_levels
from tljax.data.sources import image_folder

CARD = Card((0.5,), (0.5,))
N = 7  # pictures; picture i is grey level i


class Greys:
    """Pictures by number, some of which cannot be read."""

    def __init__(self, number: int = N, *, size: int = 2, broken: tuple[int, ...] = ()) -> None:
        self.labels, self.size, self.broken = np.arange(number, dtype=np.int32) % 3, size, broken
        self.reads = 0

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict:
        self.reads += 1
        if index in self.broken:
            raise ValueError("not a whole picture: cut off")
        image = np.full((self.size, self.size, 1), index, np.uint8)
        return {"image": image, "label": int(self.labels[index]), "id": f"grey/{index}"}


def config(**changes):
    data = default.get_config().data
    data.update(**changes)
    return data


def pictures(split=None, **changes) -> Pictures:
    split = split or Greys()
    subset = Subset(split, np.arange(len(split)), split.labels)
    return Pictures(subset, config(**changes), CARD)


def which(batch) -> list[int]:
    """The numbers of the pictures in a batch, read from their pixels."""
    return batch["image"][:, 0, 0, 0].tolist()


def test_a_streamed_picture_is_decoded_once_a_batch():
    split = Greys()
    streamed = pictures(split, in_memory=False)
    assert split.reads == N  # once each, to know that they can be
    assert streamed.images is None and streamed.shape == (2, 2, 1)
    streamed.take(np.array([1, 2, 3]))
    assert split.reads == N + 3


@pytest.mark.parametrize("in_memory", [True, False])
def test_unreadable_pictures_are_left_out_counted_and_listed(in_memory):
    found = pictures(Greys(broken=(1, 5)), unreadable="skip", in_memory=in_memory)
    reason = "not a whole picture: cut off"
    assert found.skipped == (f"example 1: {reason}", f"example 5: {reason}")
    assert len(found) == N - 2
    seen = [i for batch in Evaluation(found, batch_size=2) for i in which(batch)]
    assert seen == [0, 2, 3, 4, 6, 0]  # 0 fills up; nobody stands in another's place
    assert found.take(np.arange(5))["label"].tolist() == [0, 2, 0, 1, 0]
    training = Training(found, batch_size=5, seed=0)
    assert sorted(which(training(0))) == [0, 2, 3, 4, 6]


def test_unreadable_pictures_are_an_error_that_lists_all():
    with pytest.raises(DataError) as caught:
        pictures(Greys(broken=(1, 5)))
    assert str(caught.value).startswith("Every picture must be readable; 2 of 7 are not:\n  example 1: not a whole")
    assert "example 5" in str(caught.value) and "config.data.unreadable=skip" in str(caught.value)


def test_a_class_of_unreadable_pictures_only_is_an_error_even_with_skip():
    with pytest.raises(DataError, match="or some of every class; 2 of 7 are not"):
        pictures(Greys(broken=(1, 4)), unreadable="skip")  # the pictures of class 1
    with pytest.raises(DataError, match="7 of 7"):
        pictures(Greys(broken=tuple(range(N))), unreadable="skip")


def test_a_streamed_unreadable_picture_is_found_before_training():
    with pytest.raises(DataError, match=r"2 of 7 are not:\n  example 2: .* cut off\n  example 4: .* cut off\nRepair"):
        pictures(Greys(broken=(2, 4)), in_memory=False)


def test_a_picture_that_breaks_while_training_goes_on_stops_the_stream_and_is_named():
    split = Greys()
    training = Training(pictures(split, in_memory=False), batch_size=7, seed=0)
    split.broken = (4,)
    with pytest.raises(DataError, match="Every picture must be readable; example 4 is not: not a whole picture"):
        list(training.stream(0, 2))


@pytest.mark.parametrize("in_memory", [True, False])
def test_files_are_named(tmp_path, in_memory):
    for name in ("train/ant/a.png", "train/ant/b.png", "train/bee/c.png", "test/ant/d.png"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(file)
    cut = tmp_path / "train" / "ant" / "b.png"
    cut.write_bytes(cut.read_bytes()[:40])
    options = {"dir": str(tmp_path), "in_memory": in_memory, "unreadable": "skip"}
    dataset = image_folder.load(config(**options))
    for split in (dataset.splits["train"], Joined(list(dataset.splits.values()))):
        subset = Subset(split, np.arange(len(split)), split.labels)
        [skipped] = Pictures(subset, config(**options), CARD).skipped
        assert skipped.startswith(f"{cut}: not a whole picture")


def test_resize_makes_squares_and_the_shape_is_known():
    for in_memory in (True, False):
        assert pictures(Greys(size=6), resize=4, in_memory=in_memory).shape == (4, 4, 1)
        assert pictures(in_memory=in_memory).shape == (2, 2, 1)


@pytest.mark.parametrize("in_memory", [True, False])
def test_pictures_of_several_sizes_need_a_resize(in_memory):
    split = Joined([Greys(3), Greys(2, size=5)])
    with pytest.raises(
        DataError, match=r"\(2, 2, 1\) \(example 0\) and \(5, 5, 1\) \(example 3\). Set config.data.resize"
    ):
        pictures(split, in_memory=in_memory).take(np.arange(5))
    assert len(pictures(split, in_memory=in_memory, resize=4).take(np.arange(5))["image"]) == 5


@pytest.mark.parametrize("broken", [(), (3,)])
def test_pictures_in_memory_never_need_their_memory_twice(broken):
    class Large(Greys):
        def __getitem__(self, index: int) -> dict:
            return {"image": np.full((64, 64, 3), super().__getitem__(index)["image"][0, 0, 0], np.uint8)}

    tracemalloc.start()
    found = pictures(Large(250, broken=broken), unreadable="skip")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.images is not None and found.images.nbytes == (250 - len(broken)) * 64 * 64 * 3
    assert peak < 1.3 * found.images.nbytes
    assert [image[0, 0, 0] for image in found.images] == [i for i in range(250) if i not in broken]


class Deep(Greys):
    """Pictures of 12 bits in 16: a ramp to i * 600 each."""

    def __getitem__(self, index: int) -> dict:
        super().__getitem__(index)
        return {"image": np.linspace(0, index * 600, 16).round().astype(np.uint16).reshape(4, 4, 1)}


@pytest.mark.parametrize("in_memory", [True, False])
def test_deep_pictures_wait_for_the_levels_of_all(in_memory):
    part = pictures(Deep(), channels=1, in_memory=in_memory)
    assert part.spans == {i: (0, i * 600) for i in range(N)}
    part.settle(grey_levels.of(part.spans.values()))
    assert part.levels == grey_levels.Levels(0, 4095) and part.shape == (4, 4, 1)
    found = part.take(np.arange(N))["image"]
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found[:, 3, 3, 0], (np.arange(N) * 600 / 4095 * 255).round())


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_window_cuts_off_what_lies_outside(in_memory):
    part = pictures(Deep(), channels=1, in_memory=in_memory, window=(600.0, 1200.0))
    part.settle(None)
    assert part.take(np.arange(N))["image"][:, 3, 3, 0].tolist() == [0, 0, 255, 255, 255, 255, 255]
