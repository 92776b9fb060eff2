"""Labels: what a table's cells mean, what they are in an array, and what is none."""

import numpy as np
import pytest

from tljax.core.errors import DataError
from tljax.data import labels


def parse(kind, separator="|", **cells):
    return labels.parse(kind, cells, separator)


def test_cells_of_each_kind():
    assert parse("classes", a="2") == "2"
    assert parse("numbers", a="2", b="-1.5e2") == (2.0, -150.0)
    assert parse("sets", a=" old | very new|old||") == {"old", "very new"} and parse("sets", a="") == frozenset()
    assert parse("sets", a="x;y", separator=";") == {"x", "y"} and parse("sets", a='["a|b", 3]') == {"a|b", "3"}
    assert parse("sets", a="(old) x|y (new)") == {"(old) x", "y (new)"}
    assert parse("sets", a="1", b="0", c="true", d="False", e="1.0") == {"a", "c", "e"}
    assert labels.columns("classes", "a,b") == ("a,b",) and labels.columns("sets", "a, b") == ("a", "b")


@pytest.mark.parametrize(
    ("kind", "cells", "why"),
    [
        ("numbers", {"a": "1", "b": ""}, "'b' must be a finite number; it is ''"),
        ("numbers", {"a": "nan"}, "it is 'nan'"),
        ("numbers", {"a": "inf"}, "it is 'inf'"),
        ("sets", {"a": "1", "b": "2"}, "'b' must be 0 or 1; it is '2'"),
        ("sets", {"a": "[1"}, "Expecting"),
        ("sets", {"a": "{x|y}"}, "or a list of JSON; it is '{x|y}'"),
        ("sets", {"a": "(x)"}, "or a list of JSON"),
    ],
)
def test_what_is_no_label_is_a_value_error(kind, cells, why):
    with pytest.raises(ValueError, match=why):
        labels.parse(kind, cells, "|")


def test_arrays():
    classes = labels.encode(["b", "a"], "classes", ("a", "b"))
    numbers = labels.encode([(1.0, 2.0)], "numbers", ("a", "b"))
    sets = labels.encode([frozenset({"b"}), frozenset(), frozenset({"a", "b"})], "sets", ("a", "b"))
    for found, expected, dtype in (
        (classes, [1, 0], np.int32),
        (numbers, [[1.0, 2.0]], np.float64),
        (sets, [[0, 1], [0, 0], [1, 1]], np.bool_),
    ):
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == dtype
    assert labels.encode([], "numbers", ("a", "b")).shape == labels.encode([], "sets", ("a", "b")).shape == (0, 2)


def test_names_are_those_of_training_and_in_order():
    train = [frozenset({"10", "9"}), frozenset({"new"})]
    assert labels.names({"train": train, "test": [frozenset()]}, "x", "train") == ("9", "10", "new")
    with pytest.raises(DataError, match="only in other splits: test: old"):
        labels.names({"train": train, "test": [frozenset({"old", "new"})]}, "x", "train")
    assert labels.names({"train": train, "test": [frozenset({"old"})]}, "x", "") == ("9", "10", "new", "old")


def test_said():
    assert [labels.said(x) for x in ("a", (1.0, 2.5), frozenset({"b", "a"}))] == ["a", "1, 2.5", "a+b"]
