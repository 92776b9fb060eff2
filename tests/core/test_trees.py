"""Trees as tables of paths: there and back, and how much they hold."""

import numpy as np

from tljax.core import trees

TREE = {"a": {"b": 1, "c": {"d": 2}}, "e": 3}


def test_flatten_names_every_leaf_by_its_path_and_unflatten_is_its_inverse():
    assert trees.flatten(TREE) == {"a/b": 1, "a/c/d": 2, "e": 3}
    assert trees.unflatten(trees.flatten(TREE)) == TREE
    assert trees.flatten({}) == {} == trees.unflatten({})


def test_count_is_of_elements():
    assert trees.count({"a": np.zeros((2, 3)), "b": {"c": np.float32(1)}, "d": np.zeros((0, 4))}) == 7
