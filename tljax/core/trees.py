"""Nested dicts as flat dicts, path -> leaf, and back."""

from collections.abc import Mapping

import jax
import numpy as np

from tljax.core.types import Params, Tree


def flatten(tree: Tree, prefix: str = "") -> dict[str, Tree]:
    """`{"a": {"b": x}}` as `{"a/b": x}`: every leaf under its path."""
    leaves = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            leaves |= flatten(value, f"{prefix}{key}/")
        else:
            leaves[f"{prefix}{key}"] = value
    return leaves


def unflatten(leaves: Mapping[str, Tree]) -> Params:
    """The inverse of `flatten`."""
    tree: Params = {}
    for path, value in leaves.items():
        *parents, last = path.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    return tree


def count(tree: Tree) -> int:
    """Number of elements over all leaves."""
    return sum(int(np.prod(np.shape(leaf))) for leaf in jax.tree.leaves(tree))
