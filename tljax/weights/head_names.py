"""The name table of a network with its head: every parameter is saved and loaded under one published name.

If a head has the parameters of the family's classifier, it gets the classifier's names. Any other head gets the names
that the task gives; parameters without one are called "head.<path with dots>".
"""

import re
from collections import Counter
from collections.abc import Iterable

import flax.linen as nn

from tljax.core.errors import ConfigError, WeightsError
from tljax.core.layer_groups import stage_of
from tljax.core.trees import flatten
from tljax.core.types import Name, Published, Tree
from tljax.weights import placement
from tljax.weights.layouts import published_shape

LAYOUTS = {2: "dense", 4: "conv"}  # number of a parameter's axes -> its published layout; others are "same"


def complete(network: nn.Module, example: Tree, names: Iterable[Name], own: Iterable[Name] = ()) -> tuple[Name, ...]:
    """One row for every parameter and statistic of `network`.

    Args:
      example: one input; only shapes and dtypes matter.
      names: the family's table, with rows for its classifier.
      own: the task's rows for parameters of its head.

    Raises:
      ConfigError: a parameter has no row or two, a row has no parameter, or two rows have the same published name.
    """
    table, own = tuple(names), tuple(own)
    shapes = placement.shapes(network, example)
    sizes = {(kind, path): len(leaf.shape) for kind, tree in shapes.items() for path, leaf in flatten(tree).items()}
    head = {key for key in sizes if stage_of(key[1]) == "head"}
    if own or head != {(row.collection, row.path) for row in table if stage_of(row.path) == "head"}:
        named = {(row.collection, row.path) for row in own}
        rest = [(kind, path) for kind, path in sizes if (kind, path) in head - named]
        systematic = [Name(path.replace("/", "."), kind, path, LAYOUTS.get(sizes[kind, path], "same"))
                      for kind, path in rest]  # fmt: skip
        table = (*(row for row in table if stage_of(row.path) != "head"), *own, *systematic)
    _check(table, sizes)
    return table


def unused(names: Iterable[Name]) -> tuple[str, ...]:
    """Patterns that match the published tensors of any head, for a network that uses none of them.

    Args:
      names: the family's table.
    """
    return (r"head\..*", *(re.escape(row.published) for row in names if stage_of(row.path) == "head"))


def unfitting(network: nn.Module, example: Tree, names: Iterable[Name], published: Published) -> tuple[str, ...]:
    """The paths of the head's parameters that the weights have not, or in another shape.

    Args:
      names: of `complete`.

    Raises:
      WeightsError: the weights have none of the head's.
    """
    shapes = {kind: flatten(tree) for kind, tree in placement.shapes(network, example).items()}
    rows = [row for row in names if stage_of(row.path) == "head"]
    lost = []
    for row in rows:
        theirs, ours = published.arrays.get(row.published), shapes[row.collection][row.path].shape
        if theirs is None or theirs.shape != published_shape(ours, row.layout):
            lost.append(row.path)
    if len(lost) == len(rows):
        raise WeightsError(
            f"config.model.keep_head=true needs weights with a head of this form; '{published.where}' has none of its "
            f"tensors: {', '.join(row.published for row in rows[:3])} ... Set it to false, or choose the weights' head."
        )
    return tuple(lost)


def _check(table: tuple[Name, ...], sizes: dict[tuple[str, str], int]) -> None:
    rows = Counter((row.collection, row.path) for row in table)
    published = Counter(row.published for row in table)
    wrong = {
        "without a name": [path for kind, path in sizes if (kind, path) not in rows],
        "with two names": [path for (_, path), count in rows.items() if count > 1],
        "named, but absent": [path for kind, path in rows if (kind, path) not in sizes],
        "published names used twice": [name for name, count in published.items() if count > 1],
    }
    if any(wrong.values()):
        found = "; ".join(f"{why}: {', '.join(paths)}" for why, paths in wrong.items() if paths)
        raise ConfigError(
            f"Every parameter of the network must have one published name, to be saved; {found}. Correct the family's "
            f"`names`, or the task's `head_names`."
        )
