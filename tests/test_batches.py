"""The batch at step t is a function of (seed, t); every example once an epoch; nothing in another's place."""

import numpy as np
import pytest
from PIL import Image

from configs import default
from tljax.batches import Evaluation, Pictures, Training
from tljax.data import image_folder
from tljax.errors import DataError
from tljax.splits import Joined, Subset
from tljax.types import Card

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


def same(one, two) -> bool:
    return one.keys() == two.keys() and all(np.array_equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize("batch_size", [1, 3, 7, 14, 16, 50])
@pytest.mark.parametrize("in_memory", [True, False])
def test_every_example_once_an_epoch(batch_size, in_memory):
    training = Training(pictures(in_memory=in_memory), batch_size=batch_size, seed=0)
    drawn = [i for step in range(2 * N) for i in which(training(step))]
    assert len(drawn) == 2 * N * batch_size
    for epoch in range(2 * batch_size):
        assert sorted(drawn[epoch * N : (epoch + 1) * N]) == list(range(N))


def test_a_batch_is_whole_and_its_labels_belong_to_its_pictures():
    batch = Training(pictures(), batch_size=4, seed=0)(3)
    assert batch["image"].shape == (4, 2, 2, 1) and batch["image"].dtype == np.uint8
    assert batch["label"].tolist() == [i % 3 for i in which(batch)] and batch["label"].dtype == np.int32
    assert batch["position"].tolist() == [0, 1, 2, 3]


def test_examples_carry_the_weight_of_their_class():
    weights = np.array([0.5, 2.0, 1.0], np.float32)
    batch = Training(pictures(), batch_size=4, seed=0, weights=weights)(3)
    assert (batch["weight"] == weights[batch["label"]]).all() and batch["weight"].dtype == np.float32
    assert "weight" not in Training(pictures(), batch_size=4, seed=0)(3)


def test_epochs_and_seeds_differ_in_order():
    drawn = {
        seed: [i for step in range(3) for i in which(Training(pictures(Greys(30)), batch_size=20, seed=seed)(step))]
        for seed in (0, 1)
    }
    assert drawn[0] != drawn[1] and drawn[0][:30] != drawn[0][30:]


def test_random_access_equals_the_stream_from_anywhere():
    loaded = Training(pictures(), batch_size=3, seed=5)
    for in_memory in (True, False):
        training = Training(pictures(in_memory=in_memory), batch_size=3, seed=5)
        for start in (0, 4, 19):
            streamed = list(training.stream(start, 20))
            assert len(streamed) == 20 - start
            assert all(same(batch, loaded(step)) for step, batch in enumerate(streamed, start))
        assert same(training(11), loaded(11)) and same(training(2), loaded(2))  # in any order


def test_steps_round_to_whole_batches_and_are_at_least_one():
    training = Training(pictures(), batch_size=3, seed=0)
    assert [training.steps(epochs) for epochs in (0.01, 1.0, 3.0, 30.0)] == [1, 2, 7, 70]


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("batch_size", [1, 3, 7, 10])
def test_evaluation_covers_every_example_once(batch_size, in_memory):
    batches = list(Evaluation(pictures(in_memory=in_memory), batch_size=batch_size))
    assert {batch["image"].shape for batch in batches} == {(batch_size, 2, 2, 1)}  # one shape: one compilation
    seen = [i for batch in batches for i, real in zip(which(batch), batch["mask"], strict=True) if real]
    assert seen == list(range(N))
    assert sum(int(batch["mask"].sum()) for batch in batches) == N
    assert len(batches) == -(-N // batch_size)


def test_a_streamed_picture_is_decoded_once_a_batch():
    split = Greys()
    streamed = pictures(split, in_memory=False)
    assert split.reads == 0
    streamed.take(np.array([1, 2, 3]))
    assert split.reads == 3


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


def test_a_streamed_unreadable_picture_stops_the_stream_and_is_named():
    training = Training(pictures(Greys(broken=(4,)), in_memory=False), batch_size=7, seed=0)
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


class Lines:
    """Examples of many lengths; `take` gives their positions."""

    in_memory, views = True, 1

    def __init__(self, number):
        self.lengths = np.random.default_rng(0).integers(1, 100, number)

    def __len__(self):
        return len(self.lengths)

    def take(self, positions):
        return {"place": positions}


def test_batches_hold_examples_of_like_length_and_still_every_one_once():
    lines = Lines(1005)
    training = Training(lines, batch_size=10, seed=3)
    epoch = [training(step)["place"] for step in range(101)]
    assert sorted(np.concatenate(epoch)[:1005]) == list(range(1005))
    spread = np.mean([np.ptp(lines.lengths[places]) for places in epoch[:-1]])
    assert spread < 10  # drawn at random, ten of them differ by 80
    firsts = [lines.lengths[places].mean() for places in epoch[:30]]
    assert np.std(np.diff(firsts)) > 20  # short and long batches in turn, not the short ones first
    again = Training(lines, batch_size=10, seed=3)
    np.testing.assert_array_equal(again(57)["place"], epoch[57])
    assert not np.array_equal(training(101)["place"], epoch[0])


def test_texts_are_evaluated_with_others_of_like_length_and_keep_their_places():
    texts = pictures()
    texts.lengths = np.array([5, 2, 9, 2, 7, 1, 9])
    batches = list(Evaluation(texts, batch_size=3))
    assert [which(batch) for batch in batches] == [[5, 1, 3], [0, 4, 2], [6, 5, 5]]
    assert [batch["position"].tolist() for batch in batches] == [[5, 1, 3], [0, 4, 2], [6, 5, 5]]
    assert [batch["mask"].tolist() for batch in batches][-1] == [True, False, False]
