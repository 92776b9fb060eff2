"""What the first screen says of labels: counts of every part, and what is too few."""

import numpy as np

from tljax.data.parts import class_counts
from tljax.data.parts.subsets import Subset


def part(found):
    return Subset(None, np.arange(len(found)), np.asarray(found))


def test_classes_and_their_counts():
    train, test = np.repeat([0, 1, 2], (300, 20, 9)), np.repeat([0, 2], (5, 1))
    assert class_counts.notes({"train": part(train), "test": part(test)}, ("ant", "bee ", "fly"), "classes") == (
        "train: ant 300, 'bee ' 20, fly 9",
        "test: ant 5, 'bee ' 0, fly 1",
        "warning: classes with fewer than 10 training examples: fly 9",
        "warning: classes without an example in test: 'bee '",
        "warning: classes are uneven in train: ant 300, fly 9; config.task.class_weights=balanced weighs them, and "
        "accuracy alone says little",
    )
    even = {"train": part(np.repeat([0, 1], 10))}
    assert class_counts.notes(even, ("a", "b"), "classes") == ("train: a 10, b 10",)
    assert class_counts.notes(even, (), "none") == ()


def test_many_classes_are_cut_and_counted():
    classes = [f"c{i}" for i in range(100)]
    found = class_counts.notes({"train": part(np.repeat(np.arange(100), 4))}, classes, "classes")
    assert found[0].startswith("train: c0 4, ") and found[0].endswith(", c19 4 and 80 more; 4 to 4 each")
    assert found[1].endswith(", c9 4 and 90 more") and len(found) == 2


def test_sets_and_numbers():
    sets = part(np.array([[True, False]] * 30 + [[True, True]] * 2))
    assert class_counts.notes({"train": sets}, ("old", "new"), "sets") == (
        "train: old 32, new 2",
        "warning: labels with fewer than 10 training examples: new 2",
        "warning: labels are uneven in train: old 32, new 2; config.task.pos_weight=balanced weighs them, and accuracy "
        "alone says little",
    )
    numbers = part(np.array([[1.0, 2.5], [2.0, 1000.0]]))
    assert class_counts.notes({"train": numbers}, ("a", "b"), "numbers") == (
        "train: a 1 to 2, mean 1.5, b 2.5 to 1000, mean 501.25",
    )
