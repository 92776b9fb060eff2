"""Parts of a data set: stratified to the example, seeded, disjoint, bound to classes by name."""

import re

import numpy as np
import pytest

from configs import default
from tljax.core import settings
from tljax.core.errors import ConfigError, DataError
from tljax.core.types import Dataset, Info
from tljax.data.parts import splits, subsets

CLASSES = ("ant", "bee", "cat")
COUNTS = (10, 20, 40)


class Labels:
    """A split of labels only; example i is its own id."""

    def __init__(self, name: str, labels: np.ndarray) -> None:
        self.name, self.labels = name, np.asarray(labels, np.int32)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict:
        return {"label": int(self.labels[index]), "id": f"{self.name}/{index}"}


def labels(counts=COUNTS) -> np.ndarray:
    return np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))


def dataset(**given) -> Dataset:
    given = given or {"train": labels(), "test": labels((5, 5, 5))}
    return Dataset({name: Labels(name, found) for name, found in given.items()}, Info(CLASSES, "here"))


def choose(data: Dataset, seed: int = 0, **changes):
    config = default.get_config()
    config.data.update(**changes)
    settings.check(config)
    return splits.choose(data, config.data, seed)[:2]


def ids(part: subsets.Subset) -> list[str]:
    return [part[i]["id"] for i in range(len(part))]


def counts(part: subsets.Subset) -> list[int]:
    return np.bincount(part.labels, minlength=3).tolist()


def test_by_name_takes_everything_in_order():
    parts, classes = choose(dataset())
    assert list(parts) == ["train", "test"] and classes == CLASSES
    assert ids(parts["train"]) == [f"train/{i}" for i in range(70)]
    assert parts["train"].labels.tolist() == labels().tolist()
    assert parts["train"].labels.dtype == np.int32


def test_a_named_validation_split_and_the_order_of_parts():
    data = dataset(test=labels(), val=labels(), train=labels())
    parts, _ = choose(data, splits={"train": "val", "validation": "train", "test": "test"})
    assert list(parts) == ["train", "validation", "test"]
    assert ids(parts["train"])[0] == "val/0" and ids(parts["validation"])[0] == "train/0"


@pytest.mark.parametrize(
    ("fractions", "expected"),
    [
        ((0.1, 0.1, 0.8), [[1, 2, 4], [1, 2, 4], [8, 16, 32]]),
        ((0.5, 0.0, 0.5), [[5, 10, 20], [5, 10, 20]]),
        ((0.6, 0.3, 0.1), [[6, 12, 24], [3, 6, 12], [1, 2, 4]]),
    ],
)
def test_fractions_are_exact_in_every_class(fractions, expected):
    data = dataset(train=labels((4, 10, 30)), val=labels((6, 10, 10)))
    parts, _ = choose(data, fractions=fractions)
    assert [counts(part) for part in parts.values()] == expected
    every = [name for part in parts.values() for name in ids(part)]
    assert len(every) == len(set(every)) == 70  # disjoint, and nothing is lost
    for part in parts.values():
        assert [part[i]["label"] for i in range(len(part))] == part.labels.tolist()
        truth = [data.splits[split].labels[int(i)] for split, i in (name.split("/") for name in ids(part))]
        assert truth == part.labels.tolist()


def test_fractions_do_not_depend_on_the_order_of_splits():
    one = choose(dataset(train=labels(), test=labels((5, 5, 5))), fractions=(0.5, 0.0, 0.5))[0]
    two = choose(dataset(test=labels((5, 5, 5)), train=labels()), fractions=(0.5, 0.0, 0.5))[0]
    assert ids(one["train"]) == ids(two["train"])


@pytest.mark.parametrize(
    "changes", [{"fractions": (0.3, 0.3, 0.4)}, {"validation": 0.25}, {"examples_per_class": 4}], ids=str
)
def test_draws_depend_on_the_seed_alone(changes):
    first, again, other = (choose(dataset(), seed, **changes)[0] for seed in (0, 0, 1))
    for part in first:
        assert ids(first[part]) == ids(again[part])
    assert ids(first["train"]) != ids(other["train"])
    assert counts(first["train"]) == counts(other["train"])


def test_validation_is_a_stratified_share_of_train_and_leaves_test_alone():
    parts, _ = choose(dataset(), validation=0.1)
    assert counts(parts["validation"]) == [1, 2, 4] and counts(parts["train"]) == [9, 18, 36]
    assert not set(ids(parts["train"])) & set(ids(parts["validation"]))
    assert len(parts["test"]) == 15


def test_k_examples_per_class_after_validation():
    parts, _ = choose(dataset(), validation=0.1, examples_per_class=3)
    assert counts(parts["train"]) == [3, 3, 3] and counts(parts["validation"]) == [1, 2, 4]
    assert not set(ids(parts["train"])) & set(ids(parts["validation"]))
    more, _ = choose(dataset(), validation=0.1, examples_per_class=5)
    assert set(ids(parts["train"])) < set(ids(more["train"]))  # a larger k adds examples, it does not redraw


def test_the_first_examples_of_the_source():
    parts, _ = choose(dataset(), train_examples=30)
    assert ids(parts["train"]) == [f"train/{i}" for i in range(30)]
    with pytest.raises(DataError, match="at most the 70 training examples of here; got 71"):
        choose(dataset(), train_examples=71)


def test_of_a_sorted_source_the_first_ones_are_drawn_from_all_classes():
    rows = np.repeat(np.arange(3), COUNTS)
    data = dataset(train=rows, test=labels((5, 5, 5)))
    config = default.get_config().data
    config.train_examples = 35
    found = splits.choose(data, config, 0)
    assert counts(found.parts["train"]) == [5, 10, 20] and "drawn by seed, of every class its share" in found.notes[0]
    assert ids(found.parts["train"]) != ids(splits.choose(data, config, 1).parts["train"])
    config.train_examples = 70
    assert ids(splits.choose(data, config, 0).parts["train"]) == [f"train/{i}" for i in range(70)]
    config.train_examples = 30
    assert "the first 30 of 70, in the order of the source" in splits.choose(dataset(), config, 0).notes[0]


class Frames(Labels):
    """Pictures of people: example i is of person i // 4, all of one class."""

    def __init__(self, name: str, persons: int, first: int = 0) -> None:
        super().__init__(name, np.repeat(np.arange(persons) % 2, 4))
        self.files = [f"/data/{name}/{i % 2}/p{first + i // 4}_frame{i % 4}.png" for i in range(4 * persons)]


def frames(**given) -> Dataset:
    return Dataset({name: Frames(name, *some) for name, some in given.items()}, Info(("ant", "bee"), "here"))


def persons(part: subsets.Subset) -> set[str]:
    return {part.split.files[i].split("/")[-1].split("_")[0] for i in part.indices}


PERSON = {"dir": "/data", "group": r"/(p[0-9]+)_"}


def test_a_group_is_in_one_part():
    config = default.get_config().data
    config.update(**PERSON, fractions=(0.5, 0.25, 0.25))
    for seed in range(5):
        parts, _, notes = splits.choose(frames(all=(24,)), config, seed)
        found = [persons(part) for part in parts.values()]
        assert [len(one) for one in found] == [12, 6, 6] and len(set().union(*found)) == 24
        assert notes == ("groups by '/(p[0-9]+)_', each in one part: 12 train, 6 validation, 6 test",)
    without, _ = choose(frames(all=(24,)), fractions=(0.5, 0.25, 0.25))
    assert persons(without["train"]) & persons(without["test"])
    held, _ = choose(frames(train=(20,), test=(4, 20)), **PERSON, validation=0.2)
    assert len(persons(held["validation"])) == 4 and not persons(held["validation"]) & persons(held["train"])


def test_groups_that_a_table_has():
    data = frames(all=(24,))
    data.splits["all"].groups = [str(i % 3) for i in range(96)]
    parts, _ = choose(data, group="site", fractions=(0.5, 0.0, 0.5))
    assert {i % 3 for i in parts["train"].indices} & {i % 3 for i in parts["test"].indices} == set()


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({}, DataError, r"must be in one part; some are in train and test: p8, p9\. Move these examples"),
        ({"group": "p[0-9]+"}, ConfigError, "one group in round brackets, .* has 0"),
        ({"group": "("}, ConfigError, "must be a regular expression"),
        ({"group": "/(q)"}, DataError, r"does not match 40 of 40: /train/0/p0_frame0.png, .* and 30 more"),
    ],
)
def test_groups_that_cannot_be(changes, error, text):
    with pytest.raises(error, match=text):
        choose(frames(train=(10,), test=(4, 8)), **PERSON | changes)


def test_groups_need_files_or_a_column():
    with pytest.raises(ConfigError, match="needs rows of a table, or files"):
        choose(dataset(), group="(a)")


def test_classes_are_chosen_and_numbered_by_name():
    data = dataset()
    parts, classes = choose(data, classes=("cat", "ant"))
    assert classes == ("cat", "ant")
    assert counts(parts["train"]) == [40, 10, 0] and counts(parts["test"]) == [5, 5, 0]
    for part, name in ((p, n) for p in parts.values() for n in ids(p)):
        split, i = name.split("/")
        truth = CLASSES[data.splits[split].labels[int(i)]]
        assert classes[part.labels[ids(part).index(name)]] == truth
    assert all(parts["train"][i]["label"] == parts["train"].labels[i] for i in range(50))


def test_class_names_that_look_like_numbers():
    digits = Dataset({"train": Labels("train", labels()), "test": Labels("test", labels())}, Info(("7", "8", "9"), ""))
    assert choose(digits, classes=(9, 7))[1] == ("9", "7")


def test_joined_splits_know_their_files():
    one, two = Labels("a", [0, 1]), Labels("b", [2])
    assert subsets.Joined([one, two]).files == []
    one.files, two.files = ["a.png", "b.png"], ["c.png"]
    joined = subsets.Joined([one, two])
    assert joined.files == ["a.png", "b.png", "c.png"] and joined[2]["id"] == "b/0"
    assert joined.labels.tolist() == [0, 1, 2] and len(joined) == 3


ERRORS = {
    "label too large": (
        {"train": [0, 1, 2, 7, 3]},
        {},
        DataError,
        r"Labels must be 0 to 2 \(3 classes\); 2 are not: example 3: 7, example 4: 3",
    ),
    "label negative": ({"train": [0, -1, 2]}, {}, DataError, "1 are not: example 1: -1"),
    "class only in test": ({"train": [0, 1], "test": [0, 2]}, {}, DataError, r"too few: cat: 0; empty parts: none"),
    "too few for k": ({}, {"examples_per_class": 15}, DataError, r"at least 15 training.*too few: ant: 10;"),
    "empty test": ({"train": [0, 1, 2], "test": []}, {}, DataError, "empty parts: test"),
    "empty validation": ({"train": [0, 1, 2]}, {"validation": 0.1}, DataError, "empty parts: validation"),
    "unknown class": ({}, {"classes": ("ant", "dog", "bat")}, ConfigError, "ant, bee, cat; unknown or twice: dog, bat"),
    "class twice": ({}, {"classes": ("ant", "ant")}, ConfigError, "unknown or twice: ant"),
    "unknown split": (
        {},
        {"splits": {"train": "training", "validation": "val"}},
        ConfigError,
        r"splits of here \(train, test\).*got train='training', validation='val'. Or set config.data.fractions",
    ),
    "no training split": ({}, {"splits": {"train": ""}}, ConfigError, "got train=''"),
    "no test split": ({}, {"splits": {"test": ""}}, ConfigError, "got test=''"),
    "one split twice": ({}, {"splits": {"test": "train"}}, ConfigError, "got train='train', test='train'"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    given, changes, kind, text = ERRORS[name]
    if given and "test" not in given:
        given = {**given, "test": [0, 1, 2]}
    with pytest.raises(kind, match=re.compile(text, re.DOTALL)):
        choose(dataset(**given), **changes)


def test_halves_of_the_classes_are_drawn_by_seed():
    data = Dataset({"train": Labels("train", labels((9,) * 7)), "test": Labels("test", labels((2,) * 7))},
                   Info(tuple("abcdefg"), "here"))  # fmt: skip
    draws = set()
    for seed in range(20):
        (parts, first), (_, second) = (choose(data, seed, half=half) for half in "ab")
        assert len(first) == 4 and len(second) == 3 and sorted(first + second) == list("abcdefg")
        assert list(first) == sorted(first) and np.bincount(parts["train"].labels).tolist() == [9] * 4
        assert first == choose(data, seed, half="a")[1]
        draws.add(first)
    assert len(draws) > 10
    assert choose(data, 0, half="a", classes=("c", "a", "d"))[1] in (("c", "a"), ("c", "d"), ("a", "d"))
    with pytest.raises(DataError, match="two classes at least, for one to be told from another; there is [ca]. Choose"):
        choose(data, 0, half="a", classes=("c", "a"))


def domains() -> Dataset:
    return dataset(books=labels(), video=labels((8, 8, 8)), train=labels(), test=labels((5, 5, 5)))


def test_targets_are_evaluated_on_whole():
    parts, _ = choose(domains(), targets=("video", "books"), classes=("cat", "ant"))
    assert list(parts) == ["train", "test", "video", "books"]
    assert counts(parts["video"])[:2] == [8, 8] and len(parts["books"]) == 50
    assert ids(parts["video"])[0].startswith("video/")


def test_some_splits_are_divided_and_others_are_targets():
    parts, _ = choose(domains(), fractions=(0.5, 0.0, 0.5), divide=("books",), targets=("video",))
    assert counts(parts["train"]) == [5, 10, 20] == counts(parts["test"]) and counts(parts["video"]) == [8, 8, 8]
    assert {name.split("/")[0] for name in (*ids(parts["train"]), *ids(parts["test"]))} == {"books"}
    assert set(ids(parts["train"])).isdisjoint(ids(parts["test"]))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"targets": ("audio",)}, r"\(books, video, train, test\) to evaluate on; no split: audio"),
        ({"targets": ("train",)}, "used for another part: train; the name of a part: train"),
        ({"targets": ("examples",)}, "no split: examples; the name of a part: examples"),
        ({"targets": ("video", "video")}, "named twice: video"),
        ({"targets": ("video",), "fractions": (0.5, 0.0, 0.5)}, "used for another part: video"),
        ({"divide": ("audio",), "fractions": (0.5, 0.0, 0.5)}, "config.data.divide must name splits .* got audio"),
    ],
)
def test_targets_that_cannot_be(changes, text):
    with pytest.raises(ConfigError, match=text):
        choose(domains(), **changes)


def matrix(kind, train, test=((1, 0), (0, 1))):
    """A data set of numbers or sets, its labels (N, 2)."""
    dtype = float if kind == "numbers" else bool

    class Rows(Labels):
        def __init__(self, name, found):
            self.name, self.labels = name, np.array(found, dtype)

        def __getitem__(self, index):
            return {"label": self.labels[index], "id": f"{self.name}/{index}"}

    return Dataset({"train": Rows("train", train), "test": Rows("test", test)}, Info(("a", "b"), "here", labels=kind))


@pytest.mark.parametrize("kind", ["numbers", "sets"])
def test_numbers_and_sets_are_divided_by_plain_draws(kind):
    """By seed, to the example, nothing lost; each example keeps its label."""
    rows = np.random.default_rng(0).random((50, 2)) if kind == "numbers" else np.arange(100).reshape(50, 2) % 3 == 0
    data = matrix(kind, rows)
    parts, classes = choose(data, validation=0.2)
    assert classes == ("a", "b") and [len(part) for part in parts.values()] == [40, 10, 2]
    assert sorted(ids(parts["train"]) + ids(parts["validation"])) == sorted(f"train/{i}" for i in range(50))
    np.testing.assert_array_equal(parts["validation"].labels, rows[parts["validation"].indices])
    np.testing.assert_array_equal(parts["validation"][3]["label"], rows[parts["validation"].indices[3]])
    assert ids(choose(data, validation=0.2)[0]["train"]) == ids(parts["train"])
    assert ids(choose(data, 1, validation=0.2)[0]["train"]) != ids(parts["train"])
    shares, _ = choose(data, fractions=(0.5, 0.25, 0.25))
    assert [len(part) for part in shares.values()] == [26, 13, 13]


def test_numbers_and_sets_have_no_classes_to_choose_by():
    for change in ({"classes": ("a",)}, {"half": "a"}, {"examples_per_class": 1}):
        with pytest.raises(ConfigError, match=rf"those of here are sets. Take out config\.data\.{next(iter(change))}="):
            choose(matrix("sets", [[1, 1]]), **change)


def test_numbers_must_be_finite_and_labels_have_a_training_example():
    with pytest.raises(DataError, match=r"finite numbers up to 1e\+100, .*; 1 are not: example 1: \[inf, 0.0\]"):
        choose(matrix("numbers", [[1, 1], [np.inf, 0]]))
    with pytest.raises(DataError, match=r"2 are not: example 0: \[1e\+301, 1.0\], example 1: \[0.0, nan\]"):
        choose(matrix("numbers", [[1e301, 1], [0, np.nan]]))
    with pytest.raises(DataError, match="Every label must have at least 1 training example.*too few: b: 0;"):
        choose(matrix("sets", [[1, 0], [0, 0]]))
    with pytest.raises(DataError, match=r"empty parts: test\. Add examples\.$"):
        choose(matrix("numbers", [[1, 1]], np.zeros((0, 2))))
