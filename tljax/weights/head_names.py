"""The name table of a network with its head: every parameter is saved and loaded under one published name.

If a head has the parameters of the family's classifier, it gets the classifier's names. Any other head gets the names
that the task gives; parameters without one are called "head.<path with dots>".
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import flax.linen as nn
import numpy as np

from tljax.core import atomic
from tljax.core.errors import ConfigError, WeightsError
from tljax.core.layer_groups import stage_of
from tljax.core.trees import flatten, unflatten
from tljax.core.types import Name, Published, Tree, Variables
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


def by_class(
    variables: Variables, drawn: Collection[str], published: Published, classes: Sequence[str]
) -> tuple[Variables, tuple[str, ...]]:
    """(The variables with a kept head's outputs in the order of `classes`, notes): labels are bound by name.

    The names are those in the model.json of a run. Other weights name no classes: their outputs keep their places.

    Args:
      drawn: paths of the parameters that do not come from the weights.

    Raises:
      ConfigError: the head's outputs are of other classes, or cannot be put in another order.
    """
    head = {path: leaf for path, leaf in flatten(variables["params"]["head"]).items() if f"head/{path}" not in drawn}
    file = Path(published.where).with_name("model.json")
    theirs = atomic.read_json(file).get("classes", ()) if head and file.is_file() else ()
    if not theirs:
        note = "config.model.keep_head: these weights name no classes, so the outputs of their head keep their places"
        return variables, (note,) if head else ()
    if list(theirs) == list(classes) or len(theirs) != len(classes):  # of another number: these outputs are random
        return variables, ()
    plain = set(head) == {"kernel", "bias"} and head["kernel"].shape[-1] == len(classes)
    if not plain or sorted(theirs) != sorted(classes):
        raise ConfigError(
            f"config.model.keep_head=true needs a head for the run's classes, by name: that of '{published.where}' is "
            f"for {', '.join(map(str, theirs))}; the run's are {', '.join(classes)}"
            f"{'' if plain else ', in another order'}. Name them alike (config.data.classes), or set it to false."
        )
    places = [theirs.index(name) for name in classes]
    ordered = unflatten({path: np.asarray(leaf)[..., places] for path, leaf in head.items()})
    params = {**variables["params"], "head": ordered}
    return {**variables, "params": params}, ("head: the outputs of the weights' are put in the order of the classes",)


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
        faults = "; ".join(f"{why}: {', '.join(paths)}" for why, paths in wrong.items() if paths)
        raise ConfigError(
            f"Every parameter of the network must have one published name, to be saved; {faults}. Correct the family's "
            f"`names`, or the task's `head_names`."
        )
